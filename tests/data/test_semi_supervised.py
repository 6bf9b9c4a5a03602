"""--labels: balanced, seeded labels; every second image of a batch has its label; batch i is a function of (seed, i)."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.data.batches import flips
from simulacra.data.dataset import Dataset, Split
from simulacra.data.load import training_batches
from simulacra.data.semi_supervised import SemiSupervised, labelled_rows

CLASSES = ("cat", "dog", "owl")


def train(count=50, labels: Any = None):
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)
    return Split("train", images, np.random.default_rng(1).integers(0, 3, count) if labels is None else labels)


def source(size=8, *, seed=0, labels=6, part=(0, 1), flip=False, count=50):
    split = train(count)
    return SemiSupervised(split, labelled_rows(split, CLASSES, labels, seed), size, seed, flip, part)


@given(st.integers(3, 40), st.integers(0, 2**40))
def test_labels_are_balanced_distinct_and_a_function_of_the_seed(count, seed):
    split = train(400)
    rows = labelled_rows(split, CLASSES, count, seed)
    assert len(set(rows.tolist())) == len(rows) == count
    counts = np.bincount(split.labels[rows], minlength=3)
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(rows, labelled_rows(split, CLASSES, count, seed))


def test_other_seeds_choose_other_images_and_other_classes_for_the_rest():
    split = train(400)
    chosen = [labelled_rows(split, CLASSES, 4, seed) for seed in range(20)]
    assert len({rows.tobytes() for rows in chosen}) == 20
    assert len({int(np.bincount(split.labels[rows]).argmax()) for rows in chosen}) == 3


def test_classes_without_images_do_not_count():
    split = train(40, np.arange(40) % 2 * 2)
    rows = labelled_rows(split, CLASSES, 5, 0)
    assert sorted(np.bincount(split.labels[rows], minlength=3).tolist()) == [0, 2, 3]
    assert np.bincount(split.labels[rows], minlength=3)[1] == 0
    with pytest.raises(UsageError, match="expected at least 2"):
        labelled_rows(split, CLASSES, 1, 0)


@pytest.mark.parametrize("labels", [3, 6, 20])
def test_every_second_image_is_labelled_and_all_others_are_an_epoch_of_the_whole_split(labels):
    batches, split = source(labels=labels), train()
    allowed, seen = set(batches._labelled.tolist()), []
    assert batches.per_epoch == 50 // 4
    for i in range(batches.per_epoch):
        rows, batch = batches.rows(i), batches.batch(i)
        found = batch.condition.labels.numpy()
        assert set(rows[::2].tolist()) <= allowed
        assert found[::2].tolist() == split.labels[rows[::2]].tolist()
        assert (found[1::2] == -1).all()
        assert torch.equal(batch.images, torch.from_numpy(split.images[rows].transpose(0, 3, 1, 2).copy()) / 255)
        seen += rows[1::2].tolist()
    assert len(set(seen)) == len(seen) == 48


def test_labelled_images_are_repeated_equally_often():
    batches = source(size=8, labels=6)
    rows = np.concatenate([batches.rows(i)[::2] for i in range(12)])  # 48 images
    assert sorted(np.unique(rows, return_counts=True)[1].tolist()) == [8] * 6
    assert len({rows[at : at + 6].tobytes() for at in range(0, 48, 6)}) > 1  # in a new order each time


def test_any_order_of_access_gives_identical_batches_and_parts_form_them():
    straight, jumping = source(flip=True, seed=3), source(flip=True, seed=3)
    wanted = {i: straight.batch(i) for i in range(30)}
    parts = [source(flip=True, seed=3, part=(rank, 2)) for rank in range(2)]
    for i in (29, 0, 7, 13, 1):
        assert torch.equal(jumping.batch(i).images, wanted[i].images)
        for name in ("images", "labels"):
            together = torch.cat([getattr(part.batch(i), name) for part in parts])
            assert torch.equal(together, getattr(wanted[i], name))
    assert flips(3, 0, 8).any()
    assert not torch.equal(wanted[0].images, source(seed=3).batch(0).images)


def data(split, classes=CLASSES):
    return Dataset("toys", "0", DataSpec(1, 4, 4, classes), split, split, split)


def test_training_batches_are_semi_supervised_only_where_labels_are_chosen():
    assert isinstance(training_batches(data(train()), 8, 0, labels=6), SemiSupervised)
    labels = training_batches(data(train()), 8, 0).batch(0).labels
    assert labels is not None
    assert labels.min() >= 0


@pytest.mark.parametrize(
    ("labels", "size", "split", "words"),
    [
        (2, 8, train(), "expected at least 3: one image of each class"),
        (60, 8, train(), "needs 20 images of each class, and class .* has"),
        (6, 8, Split("train", train().images), "no labels"),
        (6, 8, train(labels=np.zeros((50, 2), np.int64)), "several attributes"),
        (6, 7, train(), "--batch is 7, and half of each batch has labels: use --batch 6"),
        (4, 8, train(labels=np.eye(50, dtype=np.int64)[0]), "class 'dog' has 1 training images"),
    ],
)
def test_what_cannot_be_chosen_is_refused(labels, size, split, words):
    with pytest.raises(UsageError, match=words):
        training_batches(data(split), size, 0, labels=labels)


def test_an_odd_part_and_several_sources_are_refused():
    with pytest.raises(UsageError, match="among 4 processes: use --batch 8"):
        source(size=12, part=(0, 4))
    both = Dataset("two", "0", DataSpec(1, 4, 4, CLASSES), train(), train(), train(), domains={"a": data(train())})
    with pytest.raises(UsageError, match="several domains: leave --labels out"):
        training_batches(both, 8, 0, labels=6)
