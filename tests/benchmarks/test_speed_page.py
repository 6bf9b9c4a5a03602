"""The page of speeds: its table is the one of the measurements beside it, and says what they are."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from benchmarks.speed_page import BEGIN, END, PAGE, Measured, filled, record, stored_entries

from simulacra.core.errors import UsageError

ROOT = Path(__file__).parents[2]


def rounds(*speeds):
    return [{"images_per_second": speed, "above_start_mib": 10 * speed, "peak_mib": 99.0} for speed in speeds]


ENTRY = Measured(
    task="Train it",
    ours="Simulacra",
    rounds={"Simulacra": rounds(30.0, 32.0, 34.0), "rival, at its best": rounds(10.0, 20.0, 16.0)},
    settings={"rival, at its best": "compiled"},
    tried={"rival": {"as documented": 4.0, "compiled": 15.0, "faster still": 0.0}},
    protocol="3 rounds",
    command="python benchmarks/training.py",
    facts={
        "machine": {"processor": "one of its kind", "cores": 2, "threads": 1, "system": "Linux"},
        "versions": {"torch": "2.13.0"},
        "precision": "float32",
    },
)


def test_the_page_has_the_table_of_the_measurements_beside_it():
    text = (ROOT / PAGE).read_text()
    assert stored_entries(ROOT / PAGE)
    assert filled(text, stored_entries(ROOT / PAGE)) == text


def test_ratios_are_those_of_each_round():
    text = filled(f"above\n{BEGIN}\n{END}\nbelow\n", [ENTRY])
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "| **Train it** | **Simulacra** | **32** | 1 | 320 |" in text
    assert "|  | rival, at its best | 16 | 2.12 (1.60 to 3.00) | 160 |" in text


def test_settings_that_were_tried_are_listed_the_chosen_one_first():
    text = filled(f"{BEGIN}\n{END}", [ENTRY])
    assert "rival, images/s in the short measurement: **compiled 15**; as documented 4.00; faster still (failed)." in text


def test_a_measurement_replaces_that_of_its_task_and_no_other(tmp_path):
    page = tmp_path / "speed.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    other = replace(ENTRY, task="Sample it")
    record(page, ENTRY, other)
    record(page, replace(ENTRY, command="another"))
    assert [(entry["task"], entry["command"]) for entry in json.loads(page.with_suffix(".json").read_text())] == [
        ("Train it", "another"),
        ("Sample it", ENTRY.command),
    ]
    assert filled(page.read_text(), stored_entries(page)) == page.read_text()
    assert asdict(stored_entries(page)[1]) == asdict(other)


def test_a_page_without_marks_is_not_changed(tmp_path):
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n")
    with pytest.raises(UsageError, match="lacks the place"):
        record(page, ENTRY)
    assert list(tmp_path.iterdir()) == [page]
