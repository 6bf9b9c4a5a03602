"""Training images that never stand decoded as a whole: groups are decoded ahead, and batch i is a function of (seed, i)."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simulacra.core.batch import Batch
from simulacra.core.condition import Condition
from simulacra.core.errors import DataError
from simulacra.core.randomness import permutation
from simulacra.data.batches import flips, mirror, require_batch, slice_of
from simulacra.data.dataset import to_floats
from simulacra.data.shards.count import Shard
from simulacra.data.shards.decoding import Form, Part, Row, Torn, decode_part
from simulacra.data.source import Pixels

GROUP_IMAGES = 8192  # decoded and shuffled together, as long as they fit
GROUP_BYTES = 256 * 2**20  # of one group; two are alive, the one in use and the next
_MOST_THREADS = 8


@dataclass(frozen=True)
class Stream:
    """The training images of a folder of shards, and how they are decoded. tell: says a line to the user."""

    folder: Path
    shards: tuple[Shard, ...]
    form: Form
    tell: Callable[[str], None] = field(repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(shard.images for shard in self.shards)


class Streamed:
    """Training batches without end, read from shards; the order of an epoch is that of shuffled shards, shuffled in groups.

    In every epoch the shards are permuted. Their images, in that order, are one row; every part (rank, count) takes an equal
    stretch of it, rounded down to whole batches, so that all parts have as many and no image is served twice. What is left
    over, fewer images than `size`, is dropped, others in every epoch. Each stretch is cut into groups of up to 8,192 images
    or 256 MiB, a whole number of batches; a group is decoded at once and its images permuted. So at most one shard at each
    end of a stretch is read by two parts, and groups before the one that holds batch i are never read.

    Two groups are alive at most: the one in use, and the next, which threads decode meanwhile. An image that cannot be decoded
    is replaced by the next one in its group that can. size, flip, part, channels_last: as for Batches.
    Batches raise DataError, naming the shard, where one is gone, damaged or truncated.
    """

    fixed_order = False  # which images batch i holds depends on the number of parts

    def __init__(
        self,
        stream: Stream,
        size: int,
        seed: int,
        flip: bool = False,
        part: tuple[int, int] = (0, 1),
        *,
        channels_last: bool = True,
        group: int = GROUP_IMAGES,
    ) -> None:
        self._slice = slice_of(size, part)
        require_batch("train", len(stream), size)
        self.size, self.per_epoch = size, len(stream) // size
        self._share = size // part[1]
        self._stream, self._seed, self._flip, self._channels_last = stream, seed, flip, channels_last
        self._first = part[0] * self.per_epoch * self._share
        fitting = min(group, GROUP_BYTES // int(np.prod(stream.form.shape)))
        self._batches = max(fitting // self._share, 1)  # in a group
        self._groups = -(-self.per_epoch // self._batches)  # in an epoch
        shards = len(stream.shards)
        self._row = lru_cache(maxsize=2)(lambda epoch: permutation(shards, seed, "epoch", epoch))
        self._decoders = _Decoders(stream)
        self._held: tuple[int, _Group] | None = None
        self._ahead: tuple[int, _Group] | None = None
        self._told = False
        weakref.finalize(self, self._decoders.stop)

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        """Return this part of batch number i, whatever was asked before: images float32 [b c h w] in [0, 1] on the device."""
        epoch, place = divmod(i, self.per_epoch)
        number, at = divmod(place, self._batches)
        group = self._group(epoch * self._groups + number)
        rows = group.order[at * self._share : (at + 1) * self._share]
        pixels = group.images.take(rows, axis=0)
        if self._flip:
            mirror(pixels, flips(self._seed, i, self.size)[self._slice])
        images = to_floats(torch.from_numpy(pixels).to(device), channels_last=self._channels_last)
        labels = torch.from_numpy(group.labels[rows]).to(device) if self._stream.form.numbers else None
        return Batch(images, Condition(labels))

    def _group(self, number: int) -> "_Group":
        """Return a group, whole; the one after it is begun. Groups are counted over all epochs."""
        if self._held is not None and self._held[0] == number:
            return self._held[1]
        ahead, self._held, self._ahead = self._ahead, None, None
        if ahead is not None and ahead[0] != number:
            ahead[1].cancel()
            ahead = None
        group = ahead[1] if ahead is not None else self._begin(number)
        if torn := group.finish():
            self._tell(torn[0])
        self._held, self._ahead = (number, group), (number + 1, self._begin(number + 1))
        return group

    def _tell(self, torn: Torn) -> None:
        if not self._told:
            self._stream.tell(f"{torn.name}: {torn.reason}; the next image takes its place, here and wherever one is torn")
        self._told = True

    def _begin(self, number: int) -> "_Group":
        """Begin to decode a group."""
        epoch, at = divmod(number, self._groups)
        start = self._first + at * self._batches * self._share
        count = min(self._batches, self.per_epoch - at * self._batches) * self._share
        order = permutation(count, self._seed, "group", epoch, start)
        parts = parts_of(self._stream.shards, self._row(epoch), start, count)
        return _Group(self._decoders, self._stream.form.shape, parts, order)


def parts_of(shards: Sequence[Shard], order: NDArray[np.int64], start: int, count: int) -> list[Part]:
    """Return the parts of shards that hold images `start` to `start + count` of the row of all images in this order of shards."""
    stops = np.cumsum([shards[at].images for at in order])
    parts, reached = [], start
    for place in range(int(np.searchsorted(stops, start, side="right")), len(order)):
        shard = shards[order[place]]
        offset = int(stops[place]) - shard.images
        stop = min(int(stops[place]), start + count)
        if stop > reached:
            parts.append(Part(shard, reached - offset, stop - offset, reached - start))
            reached = stop
        if reached == start + count:
            break
    return parts


class _Decoders:
    """Threads that decode: pictures are decoded outside of Python's lock. Half of the cores, at most eight."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.stopped = threading.Event()
        self._pool = ThreadPoolExecutor(min(_MOST_THREADS, max(1, (os.cpu_count() or 1) // 2)), "decode")

    def begin(self, work: Callable[[], list[Torn]]) -> "Future[list[Torn]]":
        """Begin one piece of work."""
        return self._pool.submit(work)

    def stop(self) -> None:
        """End all work soon."""
        self.stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Group:
    """Images that are decoded together: images uint8 [n h w c], labels int64 [n], order int64 [n], in which they are served."""

    def __init__(self, decoders: _Decoders, shape: tuple[int, int, int], parts: Sequence[Part], order: NDArray[np.int64]) -> None:
        self.images: Pixels = np.empty((len(order), *shape), dtype=np.uint8)
        self.labels: NDArray[np.int64] = np.empty(len(order), dtype=np.int64)
        self.order = order
        self._cancelled = threading.Event()
        self._work = [decoders.begin(self._decoding(decoders, part)) for part in parts]

    def _decoding(self, decoders: _Decoders, part: Part) -> Callable[[], list[Torn]]:
        stream, stopped, cancelled = decoders.stream, decoders.stopped, self._cancelled
        row = Row(self.images, self.labels, lambda: stopped.is_set() or cancelled.is_set())
        return lambda: decode_part(stream.folder, stream.form, part, row)

    def finish(self) -> list[Torn]:
        """Wait until all is decoded, fill the places of torn images and return these; raises what decoding raised."""
        torn = [one for work in self._work for one in work.result()]
        self._work = []
        if torn:
            self._mend(torn)
        return torn

    def cancel(self) -> None:
        """Stop decoding; returns once nothing writes into the arrays any more."""
        self._cancelled.set()
        for work in self._work:
            if not work.cancel():
                work.exception()

    def _mend(self, torn: Sequence[Torn]) -> None:
        """Copy to each torn image's place the next image, in the row, that could be decoded; after the last comes the first."""
        whole = np.setdiff1d(np.arange(len(self.images)), [one.at for one in torn])
        if not len(whole):
            raise DataError(f"{torn[0].name}: {torn[0].reason}, and so are all of {len(torn)} images around it: make them again")
        for one in torn:
            after = whole[np.searchsorted(whole, one.at) % len(whole)]
            self.images[one.at], self.labels[one.at] = self.images[after], self.labels[after]
