"""Training batches from memory: batch i is a function of (seed, i), without state. A split that fits is kept on the GPU."""

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
from simulacra.data.source import Pixels

_SHARE = 0.25  # fraction of the free memory of the GPU that a split may occupy


def slice_of(size: int, part: tuple[int, int]) -> slice:
    """Return the rows of a batch of `size` images for `part` = (rank, count); raises UsageError if they cannot be equal parts."""
    rank, count = part
    if size < 1:
        raise UsageError(f"--batch is {size}, expected at least 1")
    if not 0 <= rank < count:
        raise ValueError(f"part {rank} of {count} does not exist")
    share, rest = divmod(size, count)
    if rest:
        near = max(size - rest, count)
        raise UsageError(f"--batch is {size}, which cannot be divided equally among {count} processes: use --batch {near}")
    return slice(rank * share, (rank + 1) * share)


def require_batch(name: str, images: int, size: int) -> None:
    """Raise UsageError unless a split of `images` images has at least one batch of `size`."""
    if images < size:
        remedy = f"use --batch {images} or less, or more images" if images else "use more images"
        raise UsageError(f"{name} has {images} images, fewer than one batch of {size}: {remedy}")


def flips(seed: int, i: int, size: int) -> NDArray[np.bool_]:
    """Return which images of the whole batch i are flipped left to right: bool [size], true with probability 1/2."""
    return np.random.default_rng(derive(seed, "flip", i)).random(size) < 0.5


def mirror(pixels: Pixels, mirrored: NDArray[np.bool_]) -> None:
    """Flip the images [b h w c] where `mirrored` is true left to right, in place."""
    whole = pixels.view(f"V{pixels.shape[3]}")[..., 0]  # [b h w]: moves whole pixels, twice as fast
    whole[mirrored] = whole[mirrored, :, ::-1]


def sent(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; the copy to a GPU is asynchronous, through pinned memory."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Batches:
    """An endless sequence of training batches; every epoch is a permutation of the split without its last partial batch.

    size: images in the whole batch, over all parts; flip: flip each image left to right with probability 1/2, for the training
    split only; part: (rank, count), the slice of every batch that is returned, of `count` equal slices that form the batch in the
    order of ranks; channels_last: memory format of the images, else PyTorch's default; resident: whether the split is kept on
    the device, None to keep it on a GPU if it fits.
    """

    fixed_order = True  # the images of batch i are independent of the number of parts

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
        self._flip, self._channels_last, self._resident = flip, channels_last, resident
        self._kept = cache(self._copy)
        # Two epochs, since prefetching crosses the boundary between epochs.
        self._order = lru_cache(maxsize=2)(lambda epoch: permutation(len(split), seed, "epoch", epoch))

    def rows(self, i: int) -> NDArray[np.int64]:
        """Return the rows of the split in the whole batch i: int64 [size]."""
        epoch, place = divmod(i, self.per_epoch)
        return self._order(epoch)[place * self.size : (place + 1) * self.size]

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return this part of batch i on a device: images float32 [b c h w] in [0, 1]."""
        return self.gathered(self.rows(i)[self._slice], i, device)

    def gathered(self, rows: NDArray[np.int64], i: int, device: torch.device | str = "cpu") -> Batch:
        """Return the images of these rows as this part of batch i, by whose number they are flipped."""
        mirrored = flips(self._seed, i, self.size)[self._slice] if self._flip else None
        pixels, condition = self._taken(rows, mirrored, torch.device(device))
        return Batch(to_floats(pixels, channels_last=self._channels_last), condition)

    def _taken(
        self, rows: NDArray[np.int64], mirrored: NDArray[np.bool_] | None, device: torch.device
    ) -> tuple[Tensor, Condition]:
        """Return pixels and condition of some rows on a device; images where `mirrored` is true are flipped left to right."""
        if kept := self._kept(device):
            where = sent(rows, device)
            pixels = kept[0][where]
            if mirrored is not None:
                pixels = torch.where(sent(mirrored, device)[:, None, None, None], pixels.flip(2), pixels)
            return pixels, kept[1][where]
        gathered = self._split.images.take(rows, axis=0)
        if mirrored is not None:
            mirror(gathered, mirrored)
        held = {"labels": self._split.labels, "tokens": self._split.tokens}
        taken = {name: values[rows].astype(np.int64, copy=False) for name, values in held.items() if values is not None}
        return sent(gathered, device), Condition(**{name: sent(values, device) for name, values in taken.items()})

    def _copy(self, device: torch.device) -> tuple[Tensor, Condition] | None:
        """Return the images of the split and their conditions on a device if they are to be kept there."""
        fits = device.type == "cuda" and self._split.images.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]
        if not (fits if self._resident is None else self._resident):
            return None
        held = {"labels": self._split.labels, "tokens": self._split.tokens}
        whole = {name: torch.from_numpy(np.array(values, np.int64)) for name, values in held.items() if values is not None}
        return torch.from_numpy(np.array(self._split.images)).to(device), Condition(**whole).to(device)
