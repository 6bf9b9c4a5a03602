"""Runs whose data were moved: opened, resumed, and refused where other data are given."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulacra.core.errors import UsageError
from simulacra.data.settings import DataConfig, DomainsConfig, PlacesConfig
from simulacra.interfaces.cli import main
from simulacra.runs.run import Run


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A run in a folder whose name has a space, of a folder of images that was moved; the cache is empty."""
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    (tmp_path / "my photos").mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "my photos" / f"{index}.png")
    words = [
        "autoencoder",
        "--preset",
        "dense",
        "--hidden",
        "8",
        "--for",
        "2",
        "--batch",
        "8",
        "--snapshots",
        "1",
        "--threads",
        "1",
    ]
    assert main(["train", *words, "--data", "my photos", "--out", "a run"]) == 0
    (tmp_path / "my photos").rename(tmp_path / "new place")
    return tmp_path / "a run"


def test_commands_take_the_new_place_and_resume_keeps_it(moved, capsys):
    capsys.readouterr()
    assert main(["reconstruct", "a run"]) == 1
    assert "were moved, name their place with --data" in capsys.readouterr().err
    assert main(["reconstruct", "a run", "--data", "new place"]) == 0
    assert main(["report", "a run", "--data", "new place"]) == 0
    assert main(["resume", "a run", "--for", "3", "--data", "new place"]) == 0
    assert "next:  simulacra evaluate 'a run'" in capsys.readouterr().out.replace("'simulacra'", "simulacra")
    assert Run.open(moved).config.data == DataConfig(data=str(moved.parent / "new place"))
    assert main(["reconstruct", "a run"]) == 0


def test_other_data_and_places_that_the_run_does_not_have_are_refused(moved, capsys):
    (moved.parent / "new place" / "0.png").unlink()
    assert main(["evaluate", "a run", "--data", "new place"]) == 2
    assert "was trained on my photos with digest" in capsys.readouterr().err
    assert main(["evaluate", "a run", "--data.a", "new place"]) == 2
    assert "the run was trained on one source" in capsys.readouterr().err


def test_skipped_files_of_an_input_are_reported(moved, capsys):
    folder = moved.parent / "new place"
    (folder / "torn.png").write_bytes(b"torn")
    (folder / "notes.txt").write_bytes(b"")
    capsys.readouterr()
    assert main(["reconstruct", "a run", "--input", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "skipped 2 files: 1 not an image (.txt) (notes.txt); 1 no image, or its header is damaged (torn.png)" in out
    assert main(["reconstruct", "a run", "--input", str(folder), "--count", "4"]) == 0
    assert "27 more files are not read: a larger --count uses them" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="this system has no such names")
def test_names_that_are_not_utf8_work_as_root_run_and_input(moved, capsys):
    name = "caf\udce9"
    Path("new place").rename(name)
    Path("a run").rename(f"{name} run")
    assert main(["resume", f"{name} run", "--for", "3", "--data", name]) == 0
    assert "next:  simulacra evaluate $'caf\\xe9 run'" in capsys.readouterr().out
    assert Run.open(f"{name} run").config.data.title == "caf_"
    for words in (["reconstruct", "--input", name], ["report"]):
        assert main([words[0], f"{name} run", *words[1:]]) == 0
        assert "caf\\xe9 run" in capsys.readouterr().out


def test_places_replace_those_of_both_kinds_of_settings():
    assert PlacesConfig(data="x").applied(DataConfig(data="folder", path="y", test_path="z")).table()["path"] == "x"
    domains = DomainsConfig(a="p", b="q", a_test_path="r")
    found = PlacesConfig(a="x").applied(domains)
    assert (found.named, found.tests) == ({"a": "x", "b": "q"}, {"a": "r", "b": ""})
    assert PlacesConfig(data="h").applied(domains).table() | {"data": ""} == DomainsConfig().table()
    with pytest.raises(UsageError, match="two domains"):
        PlacesConfig(test_path="x").applied(domains)
