"""Random numbers as a function of (seed, purpose), so that no generator state is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

_BLOCK = 64  # images per generator of noise


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, independent of the seeds of all others.

    >>> derive(0, "batch", 1) == derive(0, "batch", 1), derive(0, "batch", 1) == derive(0, "batch", 2)
    (True, False)
    """
    text = repr((seed, *purpose))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def reseed(seed: int, *purpose: str | int) -> None:
    """Set the global generators of torch, on every device in use, for one purpose.

    Not by `torch.manual_seed`: that formats a stack trace for devices that are not in use, a millisecond each time.
    """
    value = derive(seed, *purpose)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def stream(seed: int, *purpose: str | int) -> Iterator[None]:
    """Draw from the stream of a purpose inside the context, and restore the global generators at the end."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        reseed(seed, *purpose)
        yield


def permutation(count: int, seed: int, *purpose: str | int) -> np.ndarray:
    """Return a random order of `count` indices: int64 [count]."""
    return np.random.default_rng(derive(seed, *purpose)).permutation(count)


def noise(seed: int, start: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal noise of images start .. start+count, float [count *shape]; image k's depends on seed and k only."""
    first, last = start // _BLOCK, (start + count - 1) // _BLOCK
    blocks = [torch.randn(_BLOCK, *shape, generator=generator(seed, "noise", block)) for block in range(first, last + 1)]
    return torch.cat(blocks)[start - first * _BLOCK :][:count] if blocks else torch.empty(0, *shape)


class Streams:
    """A stream of standard normal noise for each of several images, as a function of the image's own first noise."""

    def __init__(self, first: Tensor) -> None:
        self._like = first
        rows = first.detach().float().cpu().flatten(1).contiguous().numpy()
        digests = (blake2b(row.tobytes(), digest_size=8).hexdigest() for row in rows)
        self._generators = [generator(0, "stream", digest) for digest in digests]

    def draw(self, *shape: int) -> Tensor:
        """Return new noise [b *shape] on the device and in the type of the first noise."""
        drawn = torch.stack([torch.randn(*shape, generator=source) for source in self._generators])
        return drawn.to(self._like.device, self._like.dtype)
