"""The settings in which peers are measured: as their documentation has them, and at their best on the present machine.

The best setting is the fastest of a short list, which is measured once before the rounds. A peer computes in bfloat16 there if
the toolkit's own `--precision auto` does on this machine.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from measurements import Command, run
from table import rate

from simulacra.core.errors import SimulacraError
from simulacra.engine import hardware

_KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(2**28)}
"""The allocator keeps freed memory, as the engine sets it (glibc; mallopt(3))."""


@dataclass(frozen=True)
class Setting:
    """What a peer's script is given; `name` describes it."""

    name: str
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


DOCUMENTED = Setting("as documented")
_COMPILED = Setting("torch.compile, fused Adam, memory kept", ("--compile", "--fused"), _KEEP)
_TRAINING = (
    Setting("fused Adam, memory kept", ("--fused",), _KEEP),
    Setting("channels-last, fused Adam, memory kept", ("--channels-last", "--fused"), _KEEP),
    _COMPILED,
    replace(_COMPILED, name=f"channels-last, {_COMPILED.name}", flags=("--channels-last", *_COMPILED.flags)),
)
_FROZEN = {**_KEEP, "TORCHINDUCTOR_FREEZING": "1"}
_SAMPLING = (
    Setting("memory kept", (), _KEEP),
    Setting("channels-last, memory kept", ("--channels-last",), _KEEP),
    Setting("torch.compile, memory kept", ("--compile",), _KEEP),
    Setting("torch.compile with frozen weights, memory kept", ("--compile",), _FROZEN),
    Setting("channels-last, torch.compile with frozen weights, memory kept", ("--channels-last", "--compile"), _FROZEN),
)
_KERAS = (
    Setting("memory kept", (), _KEEP),
    Setting("10 steps per call, memory kept", ("--per-execution=10",), _KEEP),
    Setting("XLA, memory kept", ("--jit",), _KEEP),
    Setting("XLA, 10 steps per call, memory kept", ("--jit", "--per-execution=10"), _KEEP),
)
TRAINING = {"pythae": _TRAINING, "keras": _KERAS, "diffusers": _TRAINING}
SAMPLING = {"diffusers": _SAMPLING}


def best(
    peer: str, candidates: tuple[Setting, ...], command: Callable[[Setting], Command], clock: str
) -> tuple[Setting, dict[str, float]]:
    """Measure each candidate of a peer, and its documented setting, once; return the fastest, and images/s of all.

    A candidate that fails, such as one that needs a compiler that is missing, has speed 0. Raises SimulacraError if all fail.
    """
    speeds = {}
    for setting in (DOCUMENTED, *map(_auto_precision, candidates)):
        speeds[setting] = _speed(command(setting), clock)
        print(f"candidate: {peer}, {setting.name}: {rate(speeds[setting])} images/s", file=sys.stderr, flush=True)
    fastest = max(speeds, key=lambda setting: speeds[setting])
    if not speeds[fastest]:
        raise SimulacraError(f"{peer} fails in every setting: see the messages above")
    return fastest, {setting.name: speed for setting, speed in speeds.items()}


def _speed(command: Command, clock: str) -> float:
    try:
        return run(command, clock)["images_per_second"]
    except SimulacraError as error:
        print(error, file=sys.stderr)
        return 0.0


def _auto_precision(setting: Setting) -> Setting:
    """Return the setting in the arithmetic that `--precision auto` takes on this machine."""
    if not hardware.has_bfloat16(torch.device("cpu")):
        return setting
    return replace(setting, name=f"bfloat16, {setting.name}", flags=("--precision=bfloat16", *setting.flags))
