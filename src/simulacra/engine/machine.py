"""Facts about the machine from the operating system, None or empty where it does not provide them.

All files are read below `root`, so that tests can imitate other machines.
"""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)

_ROOT = Path("/")
_UNLIMITED = 2**60  # bytes; control groups of version 1 report a number near 2^63 if there is no limit
_X86 = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM = {"neon": ("asimd", "neon"), "sve": ("sve",), "bf16": ("bf16",)}  # our name, and the names that Linux uses


@dataclass(frozen=True)
class Machine:
    """Facts about a machine, and about the part of it that this process may use."""

    system: str
    processor: str
    cores: int  # of the machine
    usable: int  # that this process may run on
    quota: float | None  # CPU time that its container may use, in cores
    load: float | None  # running or runnable processes, mean of the last minute
    memory: int | None  # bytes
    available: int | None  # bytes that are free or can be reclaimed
    limit: int | None  # bytes that its container may use, if less than the memory of the machine
    instructions: dict[str, bool]

    @property
    def share(self) -> float:
        """CPU time that this process may use, in cores."""
        return min(self.usable, self.quota or self.usable)


def examine(root: Path = _ROOT) -> Machine:
    """Return the facts."""
    lines = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    bytes_of = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1 and words[1].isdecimal()}
    memory = bytes_of.get("MemTotal") or _asked(lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit, cores = _memory_limit(root), os.cpu_count() or 1
    return Machine(
        system=system(),
        processor=processor(root),
        cores=cores,
        usable=_asked(lambda: len(os.sched_getaffinity(0))) or cores,
        quota=_cpu_quota(root),
        load=_asked(lambda: round(os.getloadavg()[0], 2)),
        memory=memory,
        available=bytes_of.get("MemAvailable"),
        limit=limit if limit and (memory is None or limit < memory) else None,
        instructions=instructions(root),
    )


def system() -> str:
    """Return the name of the operating system and of the machine's architecture."""
    return f"{platform.system()} {platform.machine()}"


def instructions(root: Path = _ROOT) -> dict[str, bool]:
    """Return which of the relevant instruction sets the processor has; empty if the system does not report them."""
    if flags := cpu_flags(root):
        return {name: name in flags for name in _X86}
    if features := set(_cpu_fact(root, "Features").split()):
        return {name: not features.isdisjoint(names) for name, names in _ARM.items()}
    return {"neon": True} if platform.machine() in ("arm64", "aarch64") else {}  # part of 64-bit Arm


def cpu_flags(root: Path = _ROOT) -> frozenset[str]:
    """Return the instruction-set flags of an x86 processor as Linux names them; empty elsewhere."""
    return frozenset(_cpu_fact(root, "flags").split())


def has_nvidia_driver(root: Path = _ROOT) -> bool:
    """Return whether an NVIDIA driver is loaded, even if PyTorch finds no GPU; False on systems other than Linux."""
    return (root / "proc/driver/nvidia").exists()


def processor(root: Path = _ROOT) -> str:
    """Return the name of the processor."""
    own = _cpu_fact(root, "model name") or _sysctl("machdep.cpu.brand_string")
    return own or platform.processor() or platform.machine() or "unknown"


def _asked(call: Callable[[], Number]) -> Number | None:
    try:
        return call()
    except (AttributeError, ValueError, OSError):
        return None


def _memory_limit(root: Path) -> int | None:
    """Return the smallest memory limit of the control groups of this process, in bytes."""
    files = ("memory.max", "memory.limit_in_bytes")
    texts = (_text(folder / file).strip() for folder in _groups(root, "memory") for file in files)
    return min((int(text) for text in texts if text.isdecimal() and int(text) < _UNLIMITED), default=None)


def _cpu_quota(root: Path) -> float | None:
    """Return the smallest CPU limit of the control groups of this process, in cores."""
    quotas = []
    for folder in _groups(root, "cpu"):
        old = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
        for text in (_text(folder / "cpu.max"), old):
            words = text.split()
            if len(words) == 2 and all(word.isdecimal() for word in words):  # 'max' and -1 mean no limit
                quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, versions 1 and 2, each with its parents."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        inside = Path(path.lstrip("/"))
        if not controllers or controller in controllers.split(","):
            base = root / "sys/fs/cgroup" / (controller if controllers else "")
            yield from (base / part for part in (inside, *inside.parents))


def _cpu_fact(root: Path, name: str) -> str:
    lines = _text(root / "proc/cpuinfo").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name) and ":" in line), "")


def _sysctl(name: str) -> str:
    """Return a fact of macOS; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    try:
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=2).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
