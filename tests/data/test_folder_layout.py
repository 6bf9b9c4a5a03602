"""Sides, classes and skipped files from file names."""

import pytest

from simulacra.data.layout.folders import classes_of, not_an_image, sides, strip_wrappers


@pytest.mark.parametrize("name", ["a.PNG", "a.jpeg", "x/a.JPG", "a.webp", "a.bmp", "a.gif", "a.tif", "a.TIFF", "a.ppm", "a.jfif"])
def test_usual_suffixes_are_images_in_any_case(name):
    assert not_an_image(name, bytes) == ""


@pytest.mark.parametrize("name", [".hidden.png", "__MACOSX/a.png", "a/.git/b.png", "Thumbs.db", "x/desktop.ini", ".DS_Store"])
def test_hidden_and_system_files_are_named_as_such(name):
    assert not_an_image(name, bytes) == "hidden or system file"


def test_other_files_are_named_by_their_suffix():
    assert not_an_image("readme.TXT", bytes) == "not an image (.txt)"
    assert not_an_image("readme", bytes) == "not an image (no suffix)"


def test_folders_train_and_test_at_the_top_are_sides_even_when_wrapped():
    for wrapper in ("", "./", "set/", "a/b/"):
        assert sides([f"{wrapper}Train/cat/1.png", f"{wrapper}test/2.png"]) == [("train", "cat/1.png"), ("test", "2.png")]


def test_without_a_test_folder_everything_is_for_training():
    names = ["train/a.png", "cats/b.png"]
    assert sides(names) == [("train", "train/a.png"), ("train", "cats/b.png")]


def test_a_validation_folder_is_the_validation_split_with_and_without_test_images():
    assert sides(["train/1.png", "val/2.png"]) == [("train", "1.png"), ("validation", "2.png")]
    assert [side for side, _ in sides(["train/1.png", "test/3.png", "val/2.png"])] == ["train", "test", "validation"]


@pytest.mark.parametrize(
    "folders",
    [
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("trainset", "testset"),
        ("train2017", "test2017"),
        ("Train_Images", "Test_Images"),
        ("my train", "my test"),
    ],
)
def test_known_names_of_splits_are_recognized(folders):
    train, test = folders
    found = sides([f"{train}/cat/1.png", f"{train}/dog/2.png", f"{test}/dog/3.png"])
    assert [side for side, _ in found] == ["train", "train", "test"]
    assert found[2][1].endswith("dog/3.png")


def test_folders_beside_recognized_splits_are_skipped_not_classes():
    names = ["seg_train/cat/1.png", "seg_test/cat/2.png", "seg_pred/3.png"]
    assert sides(names)[2] == (None, "seg_pred/3.png")


def test_splits_inside_every_class_are_recognized():
    names = ["cat/train/1.png", "cat/test/2.png", "dog/train/3.png"]
    assert sides(names) == [("train", "cat/1.png"), ("test", "cat/2.png"), ("train", "dog/3.png")]


def test_two_domains_with_splits_are_two_classes_for_a_single_source():
    names = ["h/trainA/1.png", "h/trainB/2.png", "h/testA/3.png", "h/testB/4.png"]
    assert sides(names) == [("train", "A/1.png"), ("train", "B/2.png"), ("test", "A/3.png"), ("test", "B/4.png")]


def test_classes_whose_names_contain_words_of_splits_are_classes():
    names = ["train/1.png", "bus/2.png", "test tube/3.png", "training shoe/4.png"]
    assert sides(names) == [("train", name) for name in names]


def test_a_wrapper_is_stripped_but_not_the_only_class_of_the_test_side():
    groups = [["train/cat/1.png", "train/dog/2.png"], ["test/cat/3.png"]]
    assert strip_wrappers(groups) == [["cat/1.png", "dog/2.png"], ["cat/3.png"]]
    assert strip_wrappers([["photos/1.png", "photos/old/2.png"], []]) == [["1.png", "old/2.png"], []]


def test_the_class_is_the_outermost_folder_or_that_of_a_given_level():
    names = ["2020/cats/1.png", "2021/cats/2.png", "dogs/3.png", "4.png"]
    assert classes_of(names) == ["2020", "2021", "dogs", ""]
    assert classes_of(names, 2) == ["cats", "cats", "", ""]
