"""Batch i is a function of (seed, i); epochs are permutations; data sets smaller than a batch are refused (trap 22)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.errors import UsageError
from simulacra.data.batches import Batches
from simulacra.data.dataset import Split

SHAPES = [(8, 8, 1), (28, 28, 1), (97, 64, 3), (32, 32, 3)]


def train(count=50, shape=(8, 8, 1)):
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return Split("train", images, np.arange(count))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_order_of_access_gives_identical_batches(shape, flip):
    straight = Batches(train(shape=shape), 8, seed=3, flip=flip)
    jumping = Batches(train(shape=shape), 8, seed=3, flip=flip)
    wanted = {i: straight.batch(i) for i in range(20)}
    for i in [19, 0, 7, 7, 13, 1, 12, 18, 2, 6]:
        found = jumping.batch(i)
        assert torch.equal(found.images, wanted[i].images)
        assert np.array_equal(np.asarray(found.labels), np.asarray(wanted[i].labels))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_is_a_permutation_without_its_last_partial_batch(count, size, seed, epoch):
    if size > count:
        return
    batches = Batches(train(count), size, seed)
    assert (batches.size, batches.per_epoch) == (size, count // size)
    rows = np.concatenate([batches.rows(epoch * batches.per_epoch + at) for at in range(batches.per_epoch)])
    assert len(set(rows.tolist())) == len(rows) == size * (count // size)
    assert set(rows.tolist()) <= set(range(count))


def test_epochs_and_seeds_differ():
    batches = Batches(train(), 50, seed=0)
    orders = {batches.rows(epoch).tobytes() for epoch in range(5)} | {Batches(train(), 50, seed=1).rows(0).tobytes()}
    assert len(orders) == 6


def test_images_and_labels_are_those_of_the_rows():
    split = train()
    batches = Batches(split, 8, seed=0)
    batch = batches.batch(4)
    rows = batches.rows(4)
    assert np.asarray(batch.labels).tolist() == rows.tolist()
    assert torch.equal(batch.images, torch.from_numpy(split.images[rows].transpose(0, 3, 1, 2).copy()) / 255)
    assert batch.images.dtype == torch.float32
    assert Batches(Split("train", split.images), 8, seed=0).batch(0).labels is None


def test_flips_mirror_half_of_the_images_left_to_right_and_leave_the_data_alone():
    split = train(2000, (4, 5, 3))
    before = split.images.copy()
    plain, flipped = Batches(split, 2000, seed=0).batch(0).images, Batches(split, 2000, seed=0, flip=True).batch(0).images
    mirrored = (flipped == plain.flip(3)).flatten(1).all(1)
    untouched = (flipped == plain).flatten(1).all(1)
    assert (mirrored ^ untouched).all()
    # Binomial(2000, 1/2): 889 to 1111 but for 1e-6; detects a probability off by 0.1.
    assert 889 <= int(mirrored.sum()) <= 1111
    assert np.array_equal(split.images, before)


def test_the_memory_layout_can_be_chosen():
    split = train(8, (6, 5, 3))
    last, first = Batches(split, 8, seed=0), Batches(split, 8, seed=0, channels_last=False)
    assert last.batch(0).images.is_contiguous(memory_format=torch.channels_last)
    assert first.batch(0).images.is_contiguous()
    assert torch.equal(last.batch(0).images, first.batch(0).images)


def test_a_batch_as_large_as_the_split_works_and_a_larger_one_is_refused_with_the_numbers():
    assert len(Batches(train(7), 7, seed=0).batch(3)) == 7
    with pytest.raises(UsageError, match="train has 7 images, fewer than one batch of 8: use --batch 7 or less"):
        Batches(train(7), 8, seed=0)
    with pytest.raises(UsageError, match="train has 0 images, fewer than one batch of 1: use more images"):
        Batches(train(0), 1, seed=0)
    with pytest.raises(UsageError, match="--batch is 0"):
        Batches(train(7), 0, seed=0)


def test_batches_leave_the_global_generators_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    Batches(train(), 8, seed=0, flip=True).batch(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == numpy_state


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("flip", [False, True])
def test_the_parts_of_a_batch_are_together_the_batch_of_one_process(count, flip):
    whole = Batches(train(shape=(4, 5, 3)), 24, seed=3, flip=flip)
    parts = [Batches(train(shape=(4, 5, 3)), 24, seed=3, flip=flip, part=(rank, count)) for rank in range(count)]
    for i in (0, 1, 7):
        batches = [part.batch(i) for part in parts]
        assert [len(batch) for batch in batches] == [24 // count] * count
        assert torch.equal(torch.cat([batch.images for batch in batches]), whole.batch(i).images)
        assert (
            np.concatenate([np.asarray(batch.labels) for batch in batches]).tolist() == np.asarray(whole.batch(i).labels).tolist()
        )
    assert {(part.size, part.per_epoch, part.fixed_order) for part in parts} == {(24, 2, True)}


def test_a_batch_that_the_processes_cannot_share_is_refused_with_both_numbers():
    with pytest.raises(UsageError, match=r"--batch is 8, .* 3 processes: use --batch 6"):
        Batches(train(), 8, seed=0, part=(0, 3))
    with pytest.raises(UsageError, match=r"--batch is 2, .* 3 processes: use --batch 3"):
        Batches(train(), 2, seed=0, part=(0, 3))
    with pytest.raises(ValueError, match="part 3 of 3 does not exist"):
        Batches(train(), 9, seed=0, part=(3, 3))


def test_a_split_that_stays_on_the_device_gives_the_same_batches_as_one_that_is_gathered() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    split = Split("train", images, np.arange(20))
    for flip in (False, True):
        gathered, kept = (Batches(split, 8, 3, flip, (1, 2), resident=resident) for resident in (False, True))
        for i in (0, 5, 1):
            expected, got = gathered.batch(i), kept.batch(i)
            assert torch.equal(got.images, expected.images)
            assert got.labels is not None
            assert expected.labels is not None
            assert torch.equal(got.labels, expected.labels)
