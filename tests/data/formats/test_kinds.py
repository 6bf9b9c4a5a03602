"""Images are found by their names or their first bytes; other photographs are named with the remedy."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from simulacra.data.formats.kinds import reason_by_head, reason_by_name
from simulacra.data.load import load
from simulacra.data.own.own_images import own_images
from simulacra.data.settings import DataConfig


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.heic", "pip install pillow-heif"),
        ("a.DNG", "develop it to JPEG or TIFF"),
        ("a.svg", "export it as PNG"),
        ("a.mp4", "extract its frames"),
    ],
)
def test_other_pictures_are_named_with_the_remedy(name, remedy):
    assert remedy in (reason_by_name(name) or "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_every_format_is_found_by_its_first_bytes(kind, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "file", kind)
    assert reason_by_head("file", (tmp_path / "file").read_bytes()[:32]) == ""


@pytest.mark.parametrize("head", [b"", b"BMW is a car maker.............", b"Photographs", b"II", b"RIFF....WAVEfmt "])
def test_other_contents_are_no_images(head):
    assert reason_by_head("notes", head) == "not an image (no suffix)"


def test_heic_is_read_where_the_package_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=lambda: None))
    assert reason_by_name("a.heic") == ""
    assert reason_by_head("a", b"\0\0\0\x18ftypheic") == ""


@pytest.mark.parametrize("form", ["folder", "pictures.tar", "pictures.tgz", "pictures.zip"])
def test_files_with_other_suffixes_are_read_by_their_contents(form, make_folder, make_archive, make_picture):
    files = {f"{at}": make_picture(at) for at in range(6)} | {
        f"{at}.jpg_large": make_picture(at, kind="JPEG") for at in range(6, 12)
    }
    files |= {"README": b"Photographs of this year", "notes.txt": b"x"}
    path = make_folder(files) if form == "folder" else make_archive(form)(files, form)
    data = load(DataConfig(data=str(path)))
    assert sum(len(split) for split in data.splits) == 12
    assert data.skipped.counts == {"not an image (no suffix)": 1, "not an image (.txt)": 1}
    assert len(own_images(path, data.spec).names) == 12


def test_a_single_image_without_a_suffix_is_an_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo", "PNG")
    from simulacra.core.batch import DataSpec

    assert own_images(tmp_path / "photo", DataSpec(3, 8, 8)).names == ("photo",)
