"""Data restricted to some classes: the same splits and class numbers, another digest, and a run that knows it."""

import numpy as np
import pytest

import simulacra
from simulacra.core.errors import DataError, UsageError
from simulacra.data.load import from_array, load
from simulacra.data.only_classes import class_numbers, only_classes
from simulacra.data.settings import DataConfig


def labels(split):
    assert split.labels is not None
    return split.labels


def test_each_split_has_the_images_of_the_classes_in_their_order():
    whole, some = load(DataConfig(data="digits")), load(DataConfig(data="digits", only_classes="4, 0,1"))
    for before, after in zip(whole.splits, some.splits, strict=True):
        rows = np.isin(labels(before), [0, 1, 4])
        assert 0 < rows.sum() < len(before)
        assert np.array_equal(after.images, before.images[rows])
        assert np.array_equal(labels(after), labels(before)[rows])
        assert after.name == before.name
    assert some.spec == whole.spec
    assert "class 0,1,4" in some.notes[-1]


def test_the_digest_is_of_the_classes_whatever_their_order():
    digests = [load(DataConfig(data="digits", only_classes=text)).digest for text in ("", "0,1", "1,0,1", "0,2")]
    assert digests[1] == digests[2]
    assert len(set(digests)) == 3


def test_the_limit_counts_images_of_the_classes():
    some = load(DataConfig(data="digits", only_classes="3", limit=20))
    assert len(some.train) == 20
    assert set(labels(some.train).tolist()) == {3}


def test_wrong_classes_are_refused():
    with pytest.raises(UsageError, match=r"unknown class of digits '10'.* Known: 0, 1"):
        load(DataConfig(data="digits", only_classes="10"))
    with pytest.raises(UsageError, match="expected a class or several"):
        DataConfig(only_classes=" ,")
    images = np.zeros((30, 8, 8), np.uint8)
    images[0, 0, 0] = 255
    with pytest.raises(UsageError, match="has images without classes"):
        only_classes(from_array(images), ("0",))
    with pytest.raises(DataError, match="no training image of class 1"):
        only_classes(from_array(images, np.zeros(30, np.int64), classes=("0", "1")), ("1",))


def test_names_with_commas_are_found(tmp_path):
    images = np.arange(60 * 64, dtype=np.uint32).reshape(60, 8, 8).astype(np.uint8)
    names = ("cats", "cats, small", "dogs", "small")
    data = from_array(images, np.arange(60) % 4, classes=names)
    for text, numbers in (("cats, small", [1]), ("cats", [0]), ("small,cats", [0, 3]), ("dogs,cats, small", [1, 2])):
        assert class_numbers(data, DataConfig(only_classes=text).chosen_classes) == numbers
    assert class_numbers(data, ("cats, small",)) == [1]
    with pytest.raises(UsageError, match="unknown class of array 'large'"):
        class_numbers(data, ("cats", "large"))


def test_a_run_is_reopened_with_its_classes(tmp_path):
    model = simulacra.train(
        "autoencoder", only_classes="0,1", duration="2", batch=16, network="dense", hidden=(8,), threads=1, out=tmp_path / "run"
    )
    opened = simulacra.open(tmp_path / "run")
    assert set(labels(opened.dataset.test).tolist()) == {0, 1}
    assert opened.run.provenance["data"]["digest"] == model.dataset.digest
    with pytest.raises(UsageError, match="digest"):
        simulacra.open(tmp_path / "run", dataset=load(DataConfig(data="digits")))
