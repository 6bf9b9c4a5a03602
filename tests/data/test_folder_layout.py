"""Sides, classes and skipped files from file names."""

import pytest

from simulacra.data.folder_layout import classes_of, not_an_image, sides, strip_wrappers


@pytest.mark.parametrize("name", ["a.PNG", "a.jpeg", "x/a.JPG", "a.webp", "a.bmp", "a.gif", "a.tif", "a.TIFF", "a.ppm", "a.jfif"])
def test_usual_suffixes_are_images_in_any_case(name):
    assert not_an_image(name) == ""


@pytest.mark.parametrize("name", [".hidden.png", "__MACOSX/a.png", "a/.git/b.png", "Thumbs.db", "x/desktop.ini", ".DS_Store"])
def test_hidden_and_system_files_are_named_as_such(name):
    assert not_an_image(name) == "hidden or system file"


def test_other_files_are_named_by_their_suffix():
    assert not_an_image("readme.TXT") == "not an image (.txt)"
    assert not_an_image("readme") == "not an image (no suffix)"


def test_folders_train_and_test_at_the_top_are_sides_even_when_wrapped():
    for wrapper in ("", "./", "set/", "a/b/"):
        assert sides([f"{wrapper}Train/cat/1.png", f"{wrapper}test/2.png"]) == [("train", "cat/1.png"), ("test", "2.png")]


def test_without_a_test_folder_everything_is_for_training():
    names = ["train/a.png", "cats/b.png"]
    assert sides(names) == [("train", "train/a.png"), ("train", "cats/b.png")]


def test_a_validation_folder_is_the_test_side_only_where_there_is_no_test_folder():
    assert sides(["train/1.png", "val/2.png"]) == [("train", "1.png"), ("test", "2.png")]
    assert sides(["train/1.png", "test/3.png", "val/2.png"])[2] == (None, "val/2.png")


def test_a_wrapper_is_stripped_but_not_the_only_class_of_the_test_side():
    groups = [["train/cat/1.png", "train/dog/2.png"], ["test/cat/3.png"]]
    assert strip_wrappers(groups) == [["cat/1.png", "dog/2.png"], ["cat/3.png"]]
    assert strip_wrappers([["photos/1.png", "photos/old/2.png"], []]) == [["1.png", "old/2.png"], []]


def test_the_class_is_the_folder_that_contains_the_image():
    assert classes_of(["2020/cats/1.png", "2021/cats/2.png", "dogs/3.png", "4.png"]) == ["cats", "cats", "dogs", ""]
