"""Batch number i as a function of (seed, i): no reader state, no worker, one gather."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from simulacra.core.batch import Batch
from simulacra.core.errors import UsageError
from simulacra.core.randomness import derive, permutation
from simulacra.data.dataset import Split, to_floats


class Batches:
    """Training batches without end; every epoch is a permutation of the split, its last partial batch dropped.

    flip: mirror each image left to right with probability 1/2, for the training split only.
    channels_last: memory layout of the images; False gives PyTorch's default.
    """

    def __init__(self, split: Split, size: int, seed: int, flip: bool = False, *, channels_last: bool = True) -> None:
        if size < 1:
            raise UsageError(f"--batch is {size}, expected at least 1")
        if len(split) < size:
            remedy = f"use --batch {len(split)} or less, or more images" if len(split) else "use more images"
            raise UsageError(f"{split.name} has {len(split)} images, fewer than one batch of {size}: {remedy}")
        if flip and split.name != "train":
            raise ValueError(f"the {split.name} split is never flipped")
        self.size, self.per_epoch = size, len(split) // size
        self._split, self._seed = split, seed
        self._flip, self._channels_last = flip, channels_last
        # Two epochs, since a reader that looks ahead straddles their border.
        self._order = lru_cache(maxsize=2)(lambda epoch: permutation(len(split), seed, "epoch", epoch))

    def rows(self, i: int) -> NDArray[np.int64]:
        """Return which images of the split make up batch number i: int64 [size]."""
        epoch, place = divmod(i, self.per_epoch)
        return self._order(epoch)[place * self.size : (place + 1) * self.size]

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return batch number i, whatever was asked before: images float32 [size c h w] in [0, 1] on the device."""
        rows = self.rows(i)
        pixels = self._split.images.take(rows, axis=0)
        if self._flip:
            mirrored = np.random.default_rng(derive(self._seed, "flip", i)).random(len(rows)) < 0.5
            whole = pixels.view(f"V{pixels.shape[3]}")[..., 0]  # [b h w]: a pixel moves as one, twice as fast
            whole[mirrored] = whole[mirrored, :, ::-1]
        images = to_floats(torch.from_numpy(pixels).to(device), channels_last=self._channels_last)
        labels = None if self._split.labels is None else torch.from_numpy(self._split.labels[rows]).to(device)
        return Batch(images, labels)
