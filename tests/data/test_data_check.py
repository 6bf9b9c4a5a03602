"""`data check`: findings with number, examples and remedy."""

import numpy as np
import pytest
from PIL import Image

from simulacra.core.errors import DataError, UsageError
from simulacra.data.check import check
from simulacra.data.load import load
from simulacra.data.settings import DataConfig


def checked(path, **settings):
    checkup = check(DataConfig(data=str(path), **settings))
    return checkup, {finding.kind: finding for finding in checkup.findings}


def healthy(make_picture, count=600):
    return {f"{'ab'[at % 2]}/{at:04d}.png": make_picture(at) for at in range(count)}


def test_good_data_have_no_findings(make_folder, make_picture, recorded):
    folder = make_folder(healthy(make_picture))
    checkup = check(DataConfig(data=str(folder)), recorded)
    assert checkup.findings == ()
    assert checkup.healthy
    assert (checkup.name, checkup.train, checkup.test) == ("pictures", 540, 60)
    assert checkup.sizes == {(8, 8): 600}
    assert checkup.classes == {"a": 300, "b": 300}
    assert recorded.meters == {"checking pictures": [600, 600, "images"]}


def test_everything_wrong_at_once_is_found_and_does_not_stop_the_check(make_folder, make_picture):
    copy = make_picture(0)
    files = {f"train/a/{at:03d}.png": make_picture(at) for at in range(30)}
    files |= {"train/b/000.png": make_picture(900), "train/b/twin.png": copy, "train/a/wide.png": make_picture(901, (20, 10))}
    files |= {"test/a/leak.png": make_picture(5), "test/b/new.png": make_picture(902), "train/a/cut.png": copy[:50]}
    files |= {"train/notes.txt": b"x", "train/a/empty.png": b""}
    folder = make_folder(files)
    flat = folder / "train" / "a" / "flat.png"
    Image.new("RGB", (8, 8), "black").save(flat)
    checkup, found = checked(folder)
    assert set(found) == {
        "skipped",
        "mixed_sizes",
        "constant",
        "leak",
        "duplicates",
        "conflicting_classes",
        "few_images",
        "imbalance",
    }
    assert not checkup.healthy
    assert found["mixed_sizes"].remedy == "none needed: all are resized and cropped to 8x8; or add --size with another size"
    assert found["mixed_sizes"].count == 1
    assert (
        "train/wide.png is 20x10" in " ".join(found["mixed_sizes"].examples)
        or "train/a/wide.png is 20x10" in found["mixed_sizes"].examples
    )
    assert found["leak"].count == 1
    assert found["leak"].examples == ("train/a/005.png = test/a/leak.png",)
    assert found["duplicates"].count == 2
    assert found["conflicting_classes"].examples == ("train/a/000.png = train/b/twin.png",)
    assert found["constant"].examples == ("train/a/flat.png",)
    assert found["imbalance"].examples == ("b",)
    assert found["few_images"].count == checkup.train
    reasons = {finding.what for finding in checkup.findings if finding.kind == "skipped"}
    assert reasons == {
        "1 file is skipped: not an image (.txt)",
        "1 file is skipped: empty file",
        "1 file is skipped: truncated or damaged image",
    }
    assert all(finding.remedy for finding in checkup.findings)


def test_mixed_sizes_are_no_finding_once_a_size_is_given(make_folder, make_picture):
    folder = make_folder({f"{at}.png": make_picture(at, (8 + at % 2, 8)) for at in range(10)})
    assert "mixed_sizes" in checked(folder)[1]
    checkup, found = checked(folder, size=8)
    assert "mixed_sizes" not in found
    assert set(checkup.sizes) == {(8, 8), (8, 9)}


def test_copies_on_both_sides_of_a_carved_test_split_are_leaks(make_folder, make_picture):
    folder = make_folder({f"{at:03d}.png": make_picture(at // 2) for at in range(100)})
    found = checked(folder)[1]
    assert found["duplicates"].count == 50
    assert 1 <= found["leak"].count <= 10


def test_a_folder_without_images_is_an_error_finding(make_folder):
    checkup, found = checked(make_folder({"a.txt": b"x"}))
    assert found["no_images"].severity == "error"
    assert found["skipped"].severity == "note"
    assert (checkup.train, checkup.test) == (0, 0)


def test_images_of_0_and_1_stored_as_whole_numbers_are_a_wrong_range(make_folder, tmp_path):
    folder = make_folder({})
    folder.mkdir()
    for at in range(5):
        Image.fromarray(np.random.default_rng(at).integers(0, 2, (8, 8), dtype=np.uint8)).save(folder / f"{at}.png")
    found = checked(folder)[1]
    assert found["wrong_range"].count == 5
    assert found["wrong_range"].remedy == "multiply the values by 255"


def test_grey_images_stored_as_colour_or_among_colours_are_noted(make_folder, make_picture):
    folder = make_folder({})
    folder.mkdir()
    for at in range(4):
        grey = Image.fromarray(np.random.default_rng(at).integers(0, 256, (8, 8), dtype=np.uint8))
        grey.convert("RGB").save(folder / f"{at}.png")
    assert checked(folder)[1]["grey_in_colour"].severity == "note"
    grey.save(folder / "9.png")
    assert checked(folder)[1]["mixed_channels"].count == 1


def test_loose_images_are_a_finding(make_folder, make_picture):
    found = checked(make_folder({**healthy(make_picture, 20), "stray.png": make_picture(777)}))[1]
    assert "1 of 21 images" in found["unlabelled"].what


@pytest.mark.parametrize("split", [False, True])
def test_a_check_of_some_classes_has_the_counts_of_loading_them(split, make_folder, make_picture):
    sides = ("train/", "val/", "test/") if split else ("",)
    folder = make_folder({f"{side}{'abc'[at % 3]}/{at}.png": make_picture(at) for at in range(60) for side in sides})
    data, found = load(DataConfig(data=str(folder), only_classes="a,c")), checked(folder, only_classes="a,c")[0]
    assert found.classes == {"a": 20 * len(sides), "c": 20 * len(sides)}
    held_out = found.validation or len(data.validation)
    assert (found.train, found.test) == (len(data.train) + (0 if split else held_out), len(data.test))
    assert found.validation == (len(data.validation) if split else 0)
    with pytest.raises(UsageError, match="unknown class of pictures 'banana'"):
        checked(folder, only_classes="banana")
    if split:
        (folder / "test" / "d").mkdir()
        (folder / "test" / "d" / "1.png").write_bytes(make_picture(99))
        with pytest.raises(DataError, match="pictures has no training image of class d"):
            checked(folder, only_classes="d")


def test_the_embedded_digits_are_healthy():
    assert check(DataConfig()).healthy


@pytest.mark.parametrize("settings", [{"size": 16}, {"channels": 3}])
def test_checking_prepares_nothing(make_folder, make_picture, cache, settings):
    checked(make_folder(healthy(make_picture, 4)), **settings)
    assert not cache.exists()
