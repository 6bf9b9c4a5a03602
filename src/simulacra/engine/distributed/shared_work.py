"""Work that the processes of a command share: each computes its own part of the chunks, and all receive all results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.core.launch import alone, launched
from simulacra.engine.distributed.process_group import joined
from simulacra.engine.distributed.processes import ALONE, Processes

Chunk = TypeVar("Chunk")
Tensors = Mapping[str, Tensor]

_LOST = "another process of this command has ended, so this one ends too: start the command again"

_sharing: ContextVar[Processes] = ContextVar("sharing", default=ALONE)


@contextmanager
def sharing() -> Iterator[Processes]:
    """Share the chunks of `in_parts` inside among the processes that torchrun started, all of which must enter.

    Inside another `sharing` the processes are the same. Raises the errors of `joined`.
    """
    if launched().count == 1 or _sharing.get().count > 1:
        yield sharing_processes()
        return
    with joined(_LOST) as processes:
        token = _sharing.set(processes)
        try:
            yield processes
        finally:
            _sharing.reset(token)


def sharing_processes() -> Processes:
    """Return the processes that share work here: one outside of `sharing`."""
    return ALONE if launched().count == 1 else _sharing.get()


def chunks_of(count: int, size: int) -> list[range]:
    """Return the numbers 0 .. count in chunks of `size`; the last may be smaller.

    >>> chunks_of(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def in_parts(chunks: Sequence[Chunk], compute: Callable[[Chunk], Tensors]) -> Iterator[tuple[Chunk, Tensors]]:
    """Yield every chunk with the tensors that `compute` returns of it, on the CPU, in order.

    Of several processes that share work, number r computes the chunks r, r + n, r + 2n, ... and receives the others; as many
    chunks as processes are held at a time. If one process fails, all fail.
    """
    processes = sharing_processes()
    if processes.count == 1:
        yield from ((chunk, compute(chunk)) for chunk in chunks)
        return

    def own(part: Sequence[Chunk]) -> bytes:
        if processes.rank >= len(part):
            return b""
        with alone():
            return serialized(compute(part[processes.rank]))

    for start in range(0, len(chunks), processes.count):
        part = chunks[start : start + processes.count]
        found = processes.share(lambda part=part: own(part))  # type: ignore[misc]
        yield from ((chunk, parse_tensors(content)) for chunk, content in zip(part, found, strict=False))


def serialized(tensors: Tensors) -> bytes:
    """Return named tensors as the content of a safetensors file."""
    plain = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    return serialize_tensors(plain)
