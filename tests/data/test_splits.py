"""The three splits are the same for every run (trap 27)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.data.batches import Batches
from simulacra.data.dataset import Split, split
from simulacra.data.load import from_array, load
from simulacra.data.preparation.prepare import arrange
from simulacra.data.settings import DataConfig


def numbered(count, shape=(1, 1)):
    """Images whose first pixels spell their number."""
    images = np.zeros((count, *shape, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(count) % 250, np.arange(count) // 250
    return images + np.uint8(3)


def labels(part):
    return np.asarray(part.labels)


def spelled(images):
    pixels = images[:, 0, 0].astype(int) - 3
    return (pixels[:, 0] + 250 * pixels[:, 1]).tolist()


@given(st.integers(1, 400), st.integers(0, 50), st.floats(0, 0.9), st.integers(0, 500))
def test_splits_are_disjoint_and_complete(train, test, validation, limit):
    keys = [("train", f"{at:05d}") for at in range(train)] + [("test", f"{at:05d}") for at in range(test)]
    order, stop, _ = arrange(keys)
    assert sorted(order.tolist()) == list(range(train + test))
    parts = split(Split("train", numbered(train + test)[order], order), stop, validation, limit)
    rows = [set(spelled(part.images)) for part in parts]
    assert all(len(held) == len(part) for held, part in zip(rows, parts, strict=True))
    assert sum(map(len, rows)) == len(set().union(*rows))
    assert all(labels(part).tolist() == spelled(part.images) for part in parts)
    if test:
        assert rows[2] == set(range(train, train + test))
    if not limit or limit >= train:
        assert set().union(*rows) == set(range(train + test))
    else:
        assert len(parts[0]) <= limit


def test_splits_depend_on_names_and_not_on_the_order_of_reading():
    keys = [("train", f"{at}") for at in range(50)]
    order = arrange(keys).rows
    backwards = arrange(keys[::-1]).rows
    assert [keys[at] for at in order] == [keys[::-1][at] for at in backwards]


@pytest.mark.parametrize("test", [0, 5])
def test_validation_images_of_the_source_are_the_validation_split(test):
    sides = ["train"] * 40 + ["validation"] * 7 + ["test"] * test
    order, stop, own = arrange([(side, f"{at:02d}") for at, side in enumerate(sides)])
    parts = split(Split("train", numbered(len(sides))[order]), stop, 1 / 12, own=own)
    rows = [set(spelled(part.images)) for part in parts]
    assert rows[1] == set(range(40, 47))
    assert rows[2] == set(range(47, 52)) if test else rows[2] < set(range(40)) and len(rows[2]) == 4
    assert set().union(*rows) == set(range(len(sides)))


def test_a_twelfth_of_60000_images_is_5000_for_validation():
    parts = split(Split("train", np.zeros((60_000, 1, 1, 1), np.uint8)), 60_000, DataConfig().validation)
    assert [len(part) for part in parts] == [55_000, 5_000, 0]


def test_a_small_set_still_has_a_validation_image_unless_none_is_wanted():
    images = Split("train", numbered(5))
    assert [len(part) for part in split(images, 4, 1 / 12)] == [3, 1, 1]
    assert [len(part) for part in split(images, 4, 0)] == [4, 0, 1]


def test_the_limit_takes_a_fair_sample_of_the_training_images_only():
    whole, some = load(DataConfig()), load(DataConfig(limit=100))
    assert [len(part) for part in some.splits] == [100, 125, 297]
    assert np.array_equal(some.train.images, whole.train.images[:100])
    assert np.array_equal(some.validation.images, whole.validation.images)
    assert len(set(labels(some.train).tolist())) == 10


def test_batches_of_a_split_are_floats_in_unit_range_in_order():
    data = from_array(numbered(40, (97, 64)), np.arange(40))
    assert data.spec.shape == (3, 97, 64)
    chunks = list(data.train.chunks(10))
    assert [len(chunk) for chunk in chunks] == [10, 10, 10, 3]
    images = torch.cat([chunk.images for chunk in chunks])
    assert images.dtype == torch.float32
    assert torch.equal(images, torch.from_numpy(data.train.images.transpose(0, 3, 1, 2).copy()).float() / 255)
    assert np.array_equal(np.concatenate([labels(chunk) for chunk in chunks]), labels(data.train))
    head = data.train.head(5)
    assert torch.equal(head.images, images[:5])
    assert len(data.train.head(1000)) == 33
    assert torch.equal(data.train.batch(np.array([7, 3])).images, images[[7, 3]])


def test_255_becomes_exactly_one_and_every_level_is_distinct():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16).repeat(10, 0)
    image = from_array(levels).train.head(1).images
    assert torch.equal(image.ravel(), torch.arange(256, dtype=torch.float64).div(255).float())
    assert image.max() == 1


def test_a_split_is_indexed_without_copying_the_rest():
    data = from_array(numbered(40), np.arange(40))
    some = data.train[np.array([4, 2])]
    assert labels(some).tolist() == labels(data.train)[[4, 2]].tolist()
    assert np.shares_memory(data.train[:5].images, data.train.images)


def test_an_empty_split_has_no_chunks():
    data = from_array(numbered(3), validation=0)
    assert list(data.validation.chunks(8)) == []
    assert len(data.validation.head(4)) == 0


def test_flips_are_for_training_only():
    data = from_array(numbered(40))
    assert Batches(data.train, 8, seed=0, flip=True).batch(0)
    for part in (data.validation, data.test):
        with pytest.raises(ValueError, match="never flipped"):
            Batches(part, 1, seed=0, flip=True)
    one, two = list(data.test.chunks(8)), list(data.test.chunks(8))
    assert all(torch.equal(a.images, b.images) for a, b in zip(one, two, strict=True))
