"""Semi-supervised training batches: few images with their label, all others with the label -1."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from simulacra.core.batch import Batch
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.randomness import permutation
from simulacra.data.batches import Batches, slice_of
from simulacra.data.dataset import Split

UNKNOWN = -1
"""The label of an image without one."""


def labelled_rows(split: Split, classes: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of `count` images whose labels are used, the same number of each class up to one: int64 [count], sorted.

    The images, and the classes that have one more, are chosen by the seed. Classes without training images, such as those that
    --only-classes leaves out, are ignored. Raises UsageError where images have no labels or several attributes, and where another
    class would have no image or has too few.
    """
    if split.labels is None or split.labels.ndim > 1:
        held = "no labels" if split.labels is None else "several attributes"
        raise UsageError(f"--labels {count} chooses images by their class, and these images have {held}: leave --labels out")
    present = np.unique(split.labels).tolist()
    if count < len(present):
        raise UsageError(f"--labels is {count}, expected at least {len(present)}: one image of each class")
    share, rest = divmod(count, len(present))
    larger = {present[at] for at in permutation(len(present), seed, "labelled classes")[:rest]}
    chosen = []
    for label in present:
        wanted, held_rows = share + (label in larger), np.flatnonzero(split.labels == label)
        if len(held_rows) < wanted:
            found = f"class {classes[label]!r} has {len(held_rows)} training images"
            raise UsageError(f"--labels {count} needs {wanted} images of each class, and {found}: use fewer labels")
        chosen.append(held_rows[permutation(len(held_rows), seed, "labelled images", label)[:wanted]])
    return np.sort(np.concatenate(chosen))


class SemiSupervised:
    """An endless sequence of training batches in which every second image, from the first on, has its label.

    The others have the label -1. They are taken from the whole split in an order of their own: an epoch is one pass over the
    split by them. The labelled images are permuted and repeated as often as needed. size, seed, flip, part: as for Batches; each
    part must be even, so that it has as many images of both kinds.
    """

    fixed_order = True  # the images of batch i are independent of the number of parts

    def __init__(  # noqa: PLR0917
        self, split: Split, labelled: NDArray[np.int64], size: int, seed: int, flip: bool = False, part: tuple[int, int] = (0, 1)
    ) -> None:
        if size % (2 * part[1]):
            among = f" among {part[1]} processes" if part[1] > 1 else ""
            near = max(size - size % (2 * part[1]), 2 * part[1])
            raise UsageError(f"--batch is {size}, and half of each batch has labels{among}: use --batch {near}")
        self._slice = slice_of(size, part)
        self._images = Batches(split, size, seed, flip, part)
        self.size, self._half = size, size // 2
        self.per_epoch = len(split) // self._half
        self._labelled = labelled
        # Two epochs, since a batch and prefetching cross the boundary between epochs.
        self._order = lru_cache(maxsize=2)(lambda epoch: permutation(len(split), seed, "epoch", epoch))
        self._labelled_order = lru_cache(maxsize=2)(
            lambda epoch: labelled[permutation(len(labelled), seed, "labelled epoch", epoch)]
        )

    def rows(self, i: int) -> NDArray[np.int64]:
        """Return the rows of the split in the whole batch i: int64 [size], labelled and unlabelled in turn."""
        epoch, place = divmod(i, self.per_epoch)
        unlabelled = self._order(epoch)[place * self._half : (place + 1) * self._half]
        positions = [divmod(position, len(self._labelled)) for position in range(i * self._half, (i + 1) * self._half)]
        labelled = [self._labelled_order(repeat)[at] for repeat, at in positions]
        return np.stack([np.asarray(labelled, np.int64), unlabelled], 1).reshape(-1)

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return this part of batch i on a device: images float32 [b c h w] in [0, 1]."""
        batch = self._images.gathered(self.rows(i)[self._slice], i, device)
        labels = batch.condition.labels
        assert labels is not None
        has_label = torch.arange(len(batch), device=labels.device) % 2 == 0
        return Batch(batch.images, Condition(labels.where(has_label, UNKNOWN)))
