"""The reports: incomplete lines are skipped, and a record that cannot be written is an error."""

import json
import resource

import pytest

from simulacra.core.files import Unwritable
from simulacra.engine.reports import Reports


def record(step):
    return {"kind": "train", "step": step, "autoencoder/loss": 0.5}


@pytest.mark.parametrize("torn", ["{", '{"kind": "train", "st', '{"kind": "train", "step": 3}', "\x00\x00", "\xff"])
def test_a_line_after_a_torn_one_stands_on_its_own(tmp_path, torn):
    reports = Reports(tmp_path / "reports.jsonl")
    reports.append(record(1))
    with reports.path.open("ab") as file:
        file.write(torn.encode("latin-1"))
    reports.append(record(2))
    assert [one for one in reports.read() if one["step"] != 3] == [record(1), record(2)]
    assert len(reports.path.read_bytes().split(b"\n")) == 4


@pytest.mark.parametrize("line", ["[]", "7", "null", '{"kind": "train"}', '{"step": 3}', '{"kind": "train", "step": "3"}', "NaN"])
def test_a_line_that_is_not_a_record_is_left_out(tmp_path, line):
    reports = Reports(tmp_path / "reports.jsonl")
    reports.path.write_text(line + "\n")
    reports.append(record(2))
    reports.forget_after(2)
    assert [json.loads(line) for line in reports.path.read_text().splitlines()] == [record(2)]


def test_a_report_that_does_not_fit_on_the_disk_is_an_error_with_its_path_and_the_next_one_is_whole(tmp_path):
    reports = Reports(tmp_path / "reports.jsonl")
    reports.append(record(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (reports.path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(Unwritable, match=r"cannot write .*reports.jsonl: File too large: free some space"):
            reports.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not reports.path.read_bytes().endswith(b"\n"), "the line is really torn"
    reports.append(record(3))
    assert reports.read() == [record(1), record(3)]


def test_reports_whose_folder_is_gone_are_an_error_with_their_path(tmp_path):
    reports = Reports(tmp_path / "gone" / "reports.jsonl")
    for write in (lambda: reports.append(record(1)), reports.sync, lambda: reports.forget_after(0)):
        with pytest.raises(Unwritable, match=r"cannot write .*gone.*: the folder was moved or removed"):
            write()
