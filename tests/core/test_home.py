"""Paths that begin with a tilde: the home folder, or the name of a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulacra.core.home import expand_home
from simulacra.data.load import load, named_images
from simulacra.data.settings import DataConfig
from simulacra.interfaces.cli import command_parser, main


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def test_a_tilde_is_the_home_folder_or_part_of_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home("~/photos") == tmp_path / "photos"
    assert expand_home("~") == tmp_path
    assert expand_home(Path("~no-such-user/a.png")) == Path("~no-such-user/a.png")
    assert expand_home("a~b") == Path("a~b")


def test_data_whose_name_begins_with_a_tilde_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image(Path("~old photos/1.png"))
    assert load(DataConfig(data="~old photos")).training_images == 1
    assert main(["data", "check", "--data", "~no-such-user/photos"]) == 1


def test_a_single_image_in_the_home_folder_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    image(tmp_path / "a.png")
    spec = load(DataConfig(data="digits")).spec
    assert named_images(Path("~/a.png"), spec).names == ("a.png",)


def test_outputs_in_the_home_folder_are_written_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--data", "digits", "--for", "1", "--batch", "8", "--threads", "1", "--limit", "50", "--out=~/runs/first"]
    assert main(["train", "vae", "--network", "dense", "--hidden", "8", *words]) == 0
    assert main(["sample", str(tmp_path / "runs/first"), "--count", "2", "--out=~/samples.png", "--json"]) == 0
    written = Path(json.loads(capsys.readouterr().out.splitlines()[-1])["path"])
    assert written == tmp_path / "samples.png"
    assert written.is_file()
    assert not Path("~").exists()


def test_files_of_flags_can_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _, parser = command_parser("compare")
    parsed = parser.parse_args(["a", "b", "--csv=~/a.csv", "--html=~/a.html"])
    assert (parsed.csv, parsed.html) == (tmp_path / "a.csv", tmp_path / "a.html")
    _, parser = command_parser("train", ["vae"])
    assert parser.parse_args(["vae", "--recipe=~/vae.toml"]).recipe == tmp_path / "vae.toml"
