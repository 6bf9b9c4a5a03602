"""The operations of a training step: how long each takes, and the least that its arithmetic and its memory traffic require.

Times come from PyTorch's profiler; operations (FLOPs) and bytes are counted in another step. Both name an operation by its name
in ATen and by the node of the backward pass that called it, and are joined by these names.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from simulacra.engine import speed

BACKWARD = "autograd::engine::evaluate_function: "  # before the name of a node, in the profiler
ALLOCATIONS = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
COPIED = tuple(2**exponent for exponent in range(12, 29, 2))  # bytes of the copies that are timed
Step = Callable[[], None]


class Key(NamedTuple):
    """An operation, and the node of the backward pass that calls it: empty outside the backward pass.

    An operation in place has the name of the one that is not (`add` for `add_`): PyTorch sums gradients in place, but not while
    operations are counted.
    """

    name: str
    node: str = ""


@dataclass
class Operation:
    """All calls of an operation in a step. seconds: measured; flops, moved: bytes read and written; limit: least seconds."""

    calls: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0
    moved: float = 0.0
    limit: float = 0.0

    @property
    def kind(self) -> str:
        """What bounds it from below: `product`, `memory`, or nothing (`call`: views and allocations)."""
        return "product" if self.flops else "memory" if self.moved else "call"


@dataclass
class Peaks:
    """What this machine reaches: products by type, in FLOP/s, and copies by size, in bytes read and written per second."""

    products: dict[torch.dtype, float] = field(default_factory=dict)
    copies: dict[int, float] = field(default_factory=lambda: {size: copying(size) for size in COPIED})

    def product(self, kind: torch.dtype) -> float:
        """Return the rate of the faster one of a matrix product and of a 3x3 convolution, in FLOP/s."""
        if kind not in self.products:
            device = torch.device("cpu")
            self.products[kind] = 1e9 * max(speed.matmul(device, kind), speed.convolution(device, kind))
        return self.products[kind]

    def copy(self, moved: float) -> float:
        """Return the rate of a copy that moves about as many bytes: small ones stay in the processor's caches."""
        return self.copies[min(self.copies, key=lambda size: abs(math.log(2 * size / moved)))]


def copying(size: int) -> float:
    """Return the rate of a copy of `size` bytes, in bytes read and written per second: the best of several."""
    source, rounds = torch.ones(size, dtype=torch.uint8), max(5, min(1000, 2**26 // size))
    target, seconds = torch.empty_like(source), math.inf
    for _ in range(rounds):
        began = time.perf_counter()
        target.copy_(source)
        seconds = min(seconds, time.perf_counter() - began)
    return 2 * size / seconds


def operations(step: Step, steps: int, peaks: Peaks) -> tuple[dict[Key, Operation], float]:
    """Return the operations of a step, and its seconds without the profiler: means over `steps` steps of either kind.

    The two kinds take turns, so that other work on the machine slows both alike.
    """
    with Counter(peaks) as counter:
        step()
    found, seconds = dict(counter.found), 0.0
    names = {key.name for key in found}
    for _ in range(steps):
        began = time.perf_counter()
        step()
        seconds += (time.perf_counter() - began) / steps
        with profile() as profiler:
            step()
        for key, microseconds in timed(profiler.function_events, names):
            if key in found:  # all but a few views
                found[key].seconds += microseconds / 1e6 / steps
    return found, seconds


class Counter(TorchDispatchMode):
    """Counts, inside, the calls of every operation, their FLOPs, the bytes they move, and the least time that these take."""

    def __init__(self, peaks: Peaks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peaks = peaks
        self.found: defaultdict[Key, Operation] = defaultdict(Operation)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        node = torch._C._current_autograd_node()
        operation = self.found[Key(plain(function._schema.name), node.name() if node else "")]
        operation.calls += 1
        packet = function.overloadpacket
        flops = flop_registry[packet](*args, **(kwargs or {}), out_val=result) if packet in flop_registry else 0
        moved = 0 if function.is_view or packet.__name__ in ALLOCATIONS else bytes_of((args, kwargs)) + bytes_of(result)
        operation.flops += flops
        operation.moved += moved
        limits = [moved / self.peaks.copy(moved)] if moved else []
        limits += [flops / self.peaks.product(tensors(result)[0].dtype)] if flops else []
        operation.limit += max(limits, default=0.0)
        return result


def plain(name: str) -> str:
    """Return the name of an operation without its namespace and the mark of an operation in place."""
    return name.removeprefix("aten::").removesuffix("_")


def tensors(values: object) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def bytes_of(values: object) -> int:
    """Return the size of all tensors; dimensions that are broadcast count once."""
    return sum(held(tensor) for tensor in tensors(values))


def held(tensor: Tensor) -> int:
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * math.prod(size for size, stride in sizes if stride or not size)


def timed(events: Iterable[Any], names: set[str]) -> Iterable[tuple[Key, float]]:
    """Yield the operations that the profiler saw, each with the microseconds in it and in all that it calls.

    names: of operations; those that one of them calls belong to it.
    """
    pending = [(event, "") for event in events if event.cpu_parent is None]
    while pending:
        event, node = pending.pop()
        name = plain(event.name)
        if name in names:
            yield Key(name, node), event.cpu_time_total
            continue
        node = event.name.removeprefix(BACKWARD) if event.name.startswith(BACKWARD) else node
        pending += [(child, node) for child in event.cpu_children]
