"""Training batches from shards: groups of images are decoded ahead, and batch i is a function of (seed, i)."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from simulacra.core.batch import Batch
from simulacra.core.condition import Condition
from simulacra.core.errors import DataError
from simulacra.core.randomness import permutation
from simulacra.data.batches import flips, mirror, require_batch, slice_of
from simulacra.data.dataset import to_floats
from simulacra.data.shards.decoding import Form, Part, decode_part
from simulacra.data.shards.reading import Shard
from simulacra.data.source import Pixels, Skip

GROUP_IMAGES = 8192  # decoded and shuffled together, fewer if they exceed GROUP_BYTES
GROUP_BYTES = 256 * 2**20  # of one group; two are in memory, the current one and the next
_MOST_THREADS = 8


@dataclass(frozen=True)
class Stream:
    """The training images of shards, and how they are decoded. message: reports a line to the user."""

    shards: tuple[Shard, ...]
    form: Form
    message: Callable[[str], None] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return sum(shard.images for shard in self.shards)


class Streamed:
    """An endless sequence of training batches from shards; every epoch permutes the shards, and the images within groups.

    In every epoch the images of the permuted shards form one row. Every part (rank, count) takes an equal section of it, rounded
    down to whole batches, so that all parts have the same number of images and no image occurs twice. The remaining images, fewer
    than `size`, are dropped; they differ in every epoch. Each section is divided into groups of up to 8,192 images or 256 MiB, a
    whole number of batches; a group is decoded and its images are permuted. Thus at most one shard at each end of a section is
    read by two parts, and groups before that of batch i are never read.

    At most two groups are in memory: the current one, and the next, which is decoded by threads. An image that cannot be decoded
    is replaced by the next one in its group. size, flip, part: as for Batches.
    Batches raise DataError, naming the shard, if one is missing, damaged or truncated.
    """

    fixed_order = False  # the images of batch i depend on the number of parts

    def __init__(
        self,
        stream: Stream,
        size: int,
        seed: int,
        flip: bool = False,
        part: tuple[int, int] = (0, 1),
        *,
        group: int = GROUP_IMAGES,
    ) -> None:
        self._slice = slice_of(size, part)
        require_batch("train", len(stream), size)
        self.size, self.per_epoch = size, len(stream) // size
        self._share = size // part[1]
        self._stream, self._seed, self._flip = stream, seed, flip
        self._first = part[0] * self.per_epoch * self._share
        fitting = min(group, GROUP_BYTES // int(np.prod(stream.form.shape)))
        self._batches = max(fitting // self._share, 1)  # in a group
        self._groups = -(-self.per_epoch // self._batches)  # in an epoch
        shards = len(stream.shards)
        self._row = lru_cache(maxsize=2)(lambda epoch: permutation(shards, seed, "epoch", epoch))
        self._threads = _Threads()
        self._held: tuple[int, _Group] | None = None
        self._ahead: tuple[int, _Group] | None = None
        self._reported = False
        weakref.finalize(self, self._threads.stop)

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return this part of batch i on a device: images float32 [b c h w] in [0, 1]."""
        epoch, place = divmod(i, self.per_epoch)
        number, at = divmod(place, self._batches)
        group = self._group(epoch * self._groups + number)
        rows = group.order[at * self._share : (at + 1) * self._share]
        pixels = group.images.take(rows, axis=0)
        if self._flip:
            mirror(pixels, flips(self._seed, i, self.size)[self._slice])
        images = to_floats(torch.from_numpy(pixels).to(device))
        labels = torch.from_numpy(group.labels[rows]).to(device) if self._stream.form.numbers else None
        return Batch(images, Condition(labels))

    def _group(self, number: int) -> "_Group":
        """Return a decoded group and start to decode the next. Groups are numbered over all epochs."""
        if self._held is not None and self._held[0] == number:
            return self._held[1]
        ahead, self._held, self._ahead = self._ahead, None, None
        if ahead is not None and ahead[0] != number:
            ahead[1].cancel()
            ahead = None
        group = ahead[1] if ahead is not None else self._begin(number)
        if (failed := group.finish()) and not self._reported:
            first, self._reported = failed[0][1], True
            self._stream.message(f"{first.name}: {first.reason}; images that cannot be decoded are replaced by the next one")
        self._held, self._ahead = (number, group), (number + 1, self._begin(number + 1))
        return group

    def _begin(self, number: int) -> "_Group":
        """Start to decode a group."""
        epoch, at = divmod(number, self._groups)
        start = self._first + at * self._batches * self._share
        count = min(self._batches, self.per_epoch - at * self._batches) * self._share
        order = permutation(count, self._seed, "group", epoch, start)
        parts = parts_of(self._stream.shards, self._row(epoch), start, count)
        return _Group(self._stream, self._threads, parts, order)


def parts_of(shards: Sequence[Shard], order: NDArray[np.int64], start: int, count: int) -> list[Part]:
    """Return the parts of shards that hold images `start` to `start + count` of the row of all images in this order of shards."""
    stops = np.cumsum([shards[at].images for at in order])
    parts = []
    for at, end in zip(order, stops.tolist(), strict=True):
        offset = end - shards[at].images
        first, last = max(start, offset), min(start + count, end)
        if first < last:
            parts.append(Part(shards[at], first - offset, last - offset, first - start))
    return parts


class _Threads:
    """Threads that decode images, which releases Python's global lock: half of the cores, at most eight."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.pool = ThreadPoolExecutor(min(_MOST_THREADS, max(1, (os.cpu_count() or 1) // 2)), "decode")

    def stop(self) -> None:
        self.stopped.set()
        self.pool.shutdown(wait=False, cancel_futures=True)


class _Group:
    """Images that are decoded together: images uint8 [n h w c], labels int64 [n], order int64 [n] of the images in batches."""

    def __init__(self, stream: Stream, threads: _Threads, parts: Sequence[Part], order: NDArray[np.int64]) -> None:
        self.images: Pixels = np.empty((len(order), *stream.form.shape), dtype=np.uint8)
        self.labels: NDArray[np.int64] = np.empty(len(order), dtype=np.int64)
        self.order = order
        self._cancelled = cancelled = threading.Event()
        row = self.images, self.labels, lambda: threads.stopped.is_set() or cancelled.is_set()
        self._work = [threads.pool.submit(decode_part, stream.form, part, *row) for part in parts]

    def finish(self) -> list[tuple[int, Skip]]:
        """Wait until all images are decoded; return those that could not be, and replace them; raises errors of decoding.

        Each is replaced by the next one of the row that could be decoded; the first follows the last.
        """
        failed = [one for work in self._work for one in work.result()]
        self._work = []
        whole = np.setdiff1d(np.arange(len(self.images)), [at for at, _ in failed]) if failed else ()
        if failed and not len(whole):
            first = failed[0][1]
            raise DataError(f"{first.name}: {first.reason}, and so are all {len(failed)} images of its group: create them again")
        for at, _ in failed:
            after = whole[np.searchsorted(whole, at) % len(whole)]
            self.images[at], self.labels[at] = self.images[after], self.labels[after]
        return failed

    def cancel(self) -> None:
        """Stop decoding; returns when nothing writes to the arrays any more."""
        self._cancelled.set()
        for work in self._work:
            if not work.cancel():
                work.exception()
