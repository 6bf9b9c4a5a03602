"""Batch number i as a function of (seed, i): no reader state, no worker, one gather."""

from functools import cache, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.randomness import derive, permutation
from simulacra.data.dataset import Split, to_floats
from simulacra.data.device_transfer import Resident, fits, sent
from simulacra.data.source import Pixels


def slice_of(size: int, part: tuple[int, int]) -> slice:
    """Return which rows of a batch of `size` images are those of `part`, (rank, count); raises UsageError if none fit."""
    rank, count = part
    if size < 1:
        raise UsageError(f"--batch is {size}, expected at least 1")
    if not 0 <= rank < count:
        raise ValueError(f"part {rank} of {count} does not exist")
    share, rest = divmod(size, count)
    if rest:
        near = max(size - rest, count)
        raise UsageError(f"--batch is {size}, which {count} processes cannot share equally: use --batch {near}")
    return slice(rank * share, (rank + 1) * share)


def require_batch(name: str, images: int, size: int) -> None:
    """Raise UsageError unless a split of so many images holds a batch of `size`."""
    if images < size:
        remedy = f"use --batch {images} or less, or more images" if images else "use more images"
        raise UsageError(f"{name} has {images} images, fewer than one batch of {size}: {remedy}")


def flips(seed: int, i: int, size: int) -> NDArray[np.bool_]:
    """Return which images of the whole batch number i are mirrored: bool [size], true with probability 1/2."""
    return np.random.default_rng(derive(seed, "flip", i)).random(size) < 0.5


def mirror(pixels: Pixels, mirrored: NDArray[np.bool_]) -> None:
    """Mirror some images [b h w c] left to right, in place."""
    whole = pixels.view(f"V{pixels.shape[3]}")[..., 0]  # [b h w]: a pixel moves as one, twice as fast
    whole[mirrored] = whole[mirrored, :, ::-1]


class Batches:
    """Training batches without end; every epoch is a permutation of the split, its last partial batch dropped.

    size: images of the whole batch, over all parts; flip: mirror each image left to right with probability 1/2, for the
    training split only; part: (rank, count), which of `count` equal slices of every batch is served, so that the slices in
    the order of ranks are the whole batch; channels_last: memory layout of the images; False gives PyTorch's default;
    resident: whether the split is kept on the device that asks; None keeps it on GPUs where it fits.
    """

    fixed_order = True  # the images of batch i do not depend on the number of parts

    def __init__(
        self,
        split: Split,
        size: int,
        seed: int,
        flip: bool = False,
        part: tuple[int, int] = (0, 1),
        *,
        channels_last: bool = True,
        resident: bool | None = None,
    ) -> None:
        self._slice = slice_of(size, part)
        require_batch(split.name, len(split), size)
        if flip and split.name != "train":
            raise ValueError(f"the {split.name} split is never flipped")
        self.size, self.per_epoch = size, len(split) // size
        self._split, self._seed = split, seed
        self._flip, self._channels_last = flip, channels_last
        self._resident = cache(lambda device: self._kept(device, resident))
        # Two epochs, since a reader that looks ahead straddles their border.
        self._order = lru_cache(maxsize=2)(lambda epoch: permutation(len(split), seed, "epoch", epoch))

    def rows(self, i: int) -> NDArray[np.int64]:
        """Return which images of the split make up the whole batch number i: int64 [size]."""
        epoch, place = divmod(i, self.per_epoch)
        return self._order(epoch)[place * self.size : (place + 1) * self.size]

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return this part of batch number i, whatever was asked before: images float32 [b c h w] in [0, 1] on the device."""
        rows = self.rows(i)[self._slice]
        mirrored = flips(self._seed, i, self.size)[self._slice] if self._flip else None
        device = torch.device(device)
        resident = self._resident(device)
        pixels, labels = resident.take(rows, mirrored) if resident else self._gathered(rows, mirrored, device)
        return Batch(to_floats(pixels, channels_last=self._channels_last), Condition(labels))

    def _gathered(
        self, rows: NDArray[np.int64], mirrored: NDArray[np.bool_] | None, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        pixels = self._split.images.take(rows, axis=0)
        if mirrored is not None:
            mirror(pixels, mirrored)
        return sent(pixels, device), None if self._split.labels is None else sent(self._split.labels[rows], device)

    def _kept(self, device: torch.device, wanted: bool | None) -> Resident | None:
        keep = fits(self._split, device) if wanted is None else wanted
        return Resident.of(self._split, device) if keep else None
