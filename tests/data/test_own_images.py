"""Images of a user: names, pixels and opacity from files, folders, archives and arrays."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError
from simulacra.data.formats.pixels import opacity
from simulacra.data.formats.refused import Refused
from simulacra.data.own.own_images import own_images

GREY = DataSpec(1, 8, 8)


def save(path: str | Path, mode: str = "L", size: tuple[int, int] = (8, 8), hidden: slice = slice(0)) -> bytes:
    """Write an image that is white and, in some columns, transparent; return the contents of the file."""
    pixels = np.full((size[1], size[0], 2), 255, np.uint8)
    pixels[:, hidden, 1] = 0
    Image.fromarray(pixels).convert(mode).save(path)
    return Path(path).read_bytes()


@pytest.mark.parametrize(("mode", "stored"), [("LA", True), ("RGBA", True), ("L", False), ("RGB", False)])
def test_opacity_is_that_of_the_alpha_channel(mode, stored):
    found = opacity(save("image.png", mode, hidden=slice(2, 5)))
    assert (found is not None) == stored
    if found is not None:
        assert found.shape == (8, 8, 1)
        assert not found[:, 2:5].any()
        assert (found[:, 5:] == 255).all()


def test_a_transparent_colour_of_a_palette_is_transparent():
    image = Image.fromarray(np.tile(np.array([0, 1] * 4, np.uint8), (8, 1)))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save("palette.png", transparency=1)
    found = opacity(Path("palette.png").read_bytes())
    assert found is not None
    assert np.array_equal(found[0, :, 0], [255, 0] * 4)
    with pytest.raises(Refused):
        opacity(b"torn")


def test_a_single_image_is_fitted_with_its_opacity():
    save("large.png", "RGBA", (32, 32), slice(0, 16))
    found = own_images(Path("large.png"), GREY)
    assert found.names == ("large.png",)
    assert found.images.shape == (1, 1, 8, 8)
    assert found.opaque[0, 0, :, 5:].all()
    assert not found.opaque[0, 0, :, :4].any()


def test_archives_keep_names_and_skip_what_is_no_image():
    contents = {"b.png": save("b.png", "LA", hidden=slice(0, 1)), "in/a.png": save("a.png")}
    contents |= {"in/torn.png": b"torn", "notes.txt": b""}
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    found = own_images(Path("photos.zip"), GREY)
    assert sorted(found.names) == ["b.png", "in/a.png"]
    assert [(item.name, item.reason.split(",")[0]) for item in found.skipped] == [
        ("notes.txt", "not an image (.txt)"),
        ("in/torn.png", "no image"),
    ]
    assert found.opaque.flatten(1).all(1).tolist() == [name == "in/a.png" for name in found.names]
    first = own_images(Path("photos.zip"), GREY, 1)
    assert (first.names, [item.name for item in first.skipped], first.unused) == (("b.png",), ["notes.txt"], 2)


def test_arrays_are_opaque_and_nothing_usable_is_an_error():
    np.save("array.npy", np.zeros((3, 8, 8), np.uint8))
    found = own_images(Path("array.npy"), GREY)
    assert len(found.names) == 3
    assert found.opaque.all()
    Path("empty").mkdir()
    Path("empty/torn.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"no image that can be used \(1 files skipped, such as torn\.png"):
        own_images(Path("empty"), GREY)
