"""Layouts of folders that people have: levels of classes, names of splits, run folders, and names that are not UTF-8."""

import os

import numpy as np
import pytest

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError
from simulacra.core.files import RUN_FILES
from simulacra.data.check import check
from simulacra.data.formats.archives import Folder
from simulacra.data.load import from_array, load, reading
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item
from simulacra.data.sources import locate
from simulacra.interfaces.cli import main

BAD = "caf\udce9"  # a name that is not UTF-8: the byte 0xE9


def read(path, **settings):
    return load(DataConfig(data=str(path), **settings))


@pytest.fixture
def pictures(make_picture):
    def some(*folders, count=4):
        names = [f"{folder}/{at}.png" for folder in folders for at in range(count)]
        return {name: make_picture(at) for at, name in enumerate(names)}

    return some


def kinds(path):
    return [finding.kind for finding in check(DataConfig(data=str(path))).findings if finding.kind != "few_images"]


# --- levels of classes


def test_the_class_is_the_outermost_folder_that_differs_and_the_level_is_reported(make_folder, pictures):
    data = read(make_folder(pictures("set/cats/2019", "set/cats/2020", "set/dogs/2019", "set/dogs/2020")))
    assert data.spec.classes == ("cats", "dogs")
    assert "classes are the outermost folders (cats, dogs); folders inside them (2019, 2020) are not used" in data.notes


def test_a_folder_between_class_and_image_does_not_hide_the_classes(make_folder, pictures):
    path = make_folder(pictures("train/n01/images", "train/n02/images", "val/n01/images"))
    data = read(path)
    assert data.spec.classes == ("n01", "n02")
    assert kinds(path) == ["class_level"]


def test_another_level_is_taken_on_request_and_merges_folders_of_one_name(make_folder, pictures):
    path = make_folder(pictures("site1/good", "site1/bad", "site2/good", "site2/bad"))
    assert read(path).spec.classes == ("site1", "site2")
    data = read(path, class_level=2)
    assert data.spec.classes == ("bad", "good")
    assert any(
        "classes are the folders of level 2 (bad, good); folders around them (site1, site2)" in note for note in data.notes
    )
    for split in data.splits:
        assert [data.spec.classes[label] == file.split("/")[1] for file, label in zip(split.files, split.labels, strict=True)]


# --- splits


def test_splits_named_in_other_ways_are_used_and_other_folders_beside_them_are_skipped(make_folder, pictures):
    data = read(make_folder(pictures("seg_train/sea", "seg_train/street", "seg_test/sea", "seg_pred")))
    assert data.spec.classes == ("sea", "street")
    assert sorted(data.test.files) == [f"seg_test/sea/{at}.png" for at in range(4)]
    assert data.skipped.counts == {"outside the folders train and test": 4}


def test_a_validation_folder_is_the_validation_split(make_folder, pictures):
    data = read(make_folder(pictures("train/a", "train/b", "val/a", "test/b")))
    assert [len(split) for split in data.splits] == [8, 4, 4]
    assert sorted(data.validation.files) == [f"val/a/{at}.png" for at in range(4)]
    assert set(np.asarray(data.test.labels).tolist()) == {1}


def test_a_validation_folder_without_a_test_folder_leaves_a_tenth_of_the_training_images_for_testing(make_folder, pictures):
    data = read(make_folder(pictures("train", "val", count=20)))
    assert [len(split) for split in data.splits] == [18, 20, 2]
    assert all(file.startswith("train/") for file in (*data.train.files, *data.test.files))


def test_archives_named_after_splits_are_the_splits(make_tar, make_zip, pictures):
    make_tar(pictures("a", "b"), "sets/training_set.tar.gz")
    make_tar(pictures("a"), "sets/val_set.tar")
    data = read(make_tar(pictures("b"), "sets/test_set.tar").parent)
    assert [len(split) for split in data.splits] == [8, 4, 4]


def test_unlabelled_test_images_cost_only_the_labels_of_the_test_split(make_folder, pictures):
    path = make_folder(pictures("train/cat", "train/dog", "test"))
    data = read(path)
    assert data.spec.classes == ("cat", "dog")
    assert data.train.labels is not None
    assert data.validation.labels is not None
    assert data.test.labels is None
    assert any("all test images have no class" in note for note in data.notes)
    checkup = check(DataConfig(data=str(path)))
    assert checkup.classes == {"cat": 4, "dog": 4}


def test_unlabelled_test_images_in_arrays_cost_only_the_labels_of_the_test_split(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    held = from_array(images[:20], np.arange(20) % 2, test_images=images[20:])
    np.savez(tmp_path / "held.npz", images=images[:20], labels=np.arange(20) % 2, test_images=images[20:])
    for data in (held, read(tmp_path / "held.npz")):
        assert data.spec.classes == ("0", "1")
        assert set(np.asarray(data.train.labels).tolist()) == {0, 1}
        assert data.test.labels is None


def test_folders_named_like_splits_that_are_not_used_are_a_warning(make_folder, pictures):
    path = make_folder(pictures("images", "test"))
    assert kinds(path) == ["split_names"]
    assert any(note.startswith("test is not used as a split") for note in read(path).notes)


def test_labels_that_do_not_begin_at_zero_are_the_classes_that_occur():
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4), dtype=np.uint8)
    assert from_array(images, np.where(np.arange(30) % 2, 3, 7)).spec.classes == ("3", "7")
    assert from_array(images, 1990 + np.arange(30) % 3).spec.classes == ("1990", "1991", "1992")


# --- names of files


@pytest.mark.parametrize("kind", ["folder", "pictures.tar", "pictures.zip"])
def test_a_data_set_knows_the_files_of_its_images(make_folder, make_archive, pictures, make_picture, kind):
    files = pictures("set/cats", "set/dogs")
    data = read(make_folder(files) if kind == "folder" else make_archive(kind)(files))
    found = [file for split in data.splits for file in split.files]
    assert sorted(found) == sorted(files)
    first = data.train[:2]
    assert first.files == data.train.files[:2]
    from simulacra.data.formats.pixels import decode

    assert np.array_equal(first.images[0], decode(files[first.files[0]]))
    everything = data.everything
    assert list(everything.files) == sorted(files)
    assert all(
        np.array_equal(image, decode(files[file])) for file, image in zip(everything.files, everything.images, strict=True)
    )
    assert from_array(np.zeros((5, 2, 2))).train.files is None


# --- run folders


@pytest.mark.parametrize("packed", [False, True])
def test_run_folders_are_never_data(make_folder, make_tar, pictures, packed):
    files = pictures(".", count=6)
    plain = read(make_folder(files, "plain"))
    run = dict.fromkeys([f"runs/one/{name}" for name in RUN_FILES], b"")
    images = pictures("runs/one/samples", "runs/one/images")
    with_run = files | run | images
    data = read(make_tar(with_run) if packed else make_folder(with_run))
    assert data.digest == plain.digest
    assert data.skipped.total == 0


def test_a_run_folder_itself_is_refused_as_data(make_folder, pictures):
    path = make_folder(pictures("samples") | dict.fromkeys(RUN_FILES, b""), "run")
    with pytest.raises(DataError, match="is a run folder, not data"):
        read(path)
    assert len(read(path / "samples").train) > 0


def test_runs_in_the_folder_of_images_itself_are_named_after_it(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    assert DataConfig(data=".").title == "photos"
    assert DataConfig(data="../photos/").title == "photos"
    assert DataConfig(data="mnist").title == "mnist"


# --- names that are not UTF-8


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="this system has no such names")
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_names_that_are_not_utf8_are_read_and_printed_escaped(make_folder, make_tar, pictures, kind, tmp_path):
    make = make_folder if kind == "folder" else make_tar
    name = f"{BAD}.tar" if kind == "tar" else BAD
    data = read(make(pictures(f"{BAD} noir", "the") | {f"the/{BAD}.png": b"", f"{BAD}.txt": b""}, name))
    assert data.name == "caf\\xe9"
    assert data.spec.classes == ("caf\\xe9 noir", "the")
    assert data.skipped.counts == {"empty file": 1, "not an image (.txt)": 1}
    assert data.skipped.examples["not an image (.txt)"] == ("caf\\xe9.txt",)
    data.skipped.line().encode()
    if kind == "folder":
        held = Folder(tmp_path / BAD)
        assert all(held.read(file) for file in data.train.files)


def test_a_class_level_below_one_is_refused():
    with pytest.raises(UsageError, match="class_level"):
        DataConfig(data="x", class_level=0)


def test_a_built_in_data_set_beside_a_folder_of_its_name_is_reported(make_folder, pictures, tmp_path, monkeypatch, recorded):
    make_folder(pictures("."), "ring")
    monkeypatch.chdir(tmp_path)
    locate(DataConfig(data="ring"), recorded)
    locate(DataConfig(data="./ring"), recorded)
    assert recorded.lines == ["ring is the built-in data set; for ./ring give --data ./ring"]


def test_every_image_of_an_input_is_read_whatever_its_folders_are_called(make_folder, pictures):
    path = make_folder(pictures("train/a", "test/a", "other"))
    with reading(path, DataSpec(3, 8, 8)) as found:
        assert len([item for item in found.items if isinstance(item, Item)]) == 12


def test_the_check_counts_the_images_of_each_class_and_split(make_folder, pictures, capsys):
    path = make_folder(pictures("train/cats", "train/dogs", "val/dogs", "test/cats"))
    assert main(["data", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "8 images to train on, 4 to validate, 4 to test" in out
    assert "2 classes: cats (8), dogs (8)" in out
