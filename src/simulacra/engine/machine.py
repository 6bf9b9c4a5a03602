"""What the operating system says about the machine: processor, cores, memory, and the limits of a container.

Everything is read below `root`, so that other machines can be played in tests. What a system does not tell is None or empty.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED = 2**60  # bytes; control groups of version 1 write a number near 2^63 where there is no limit
_X86 = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM = {"neon": ("asimd", "neon"), "sve": ("sve",), "bf16": ("bf16",)}  # our name, and how Linux may name it


@dataclass(frozen=True)
class Machine:
    """Facts about a machine, and about the share of it that this process may use."""

    system: str
    processor: str
    cores: int  # that the machine has
    usable: int  # that this process may run on
    quota: float | None  # cores' worth of time that its container may take
    load: float | None  # processes that ran or waited to, mean of the last minute
    memory: int | None  # bytes
    available: int | None  # bytes that are free, or can be made so
    limit: int | None  # bytes that its container may take, where that is less than the machine has
    instructions: dict[str, bool]

    @property
    def share(self) -> float:
        """Cores' worth of time that this process may take."""
        return min(self.usable, self.quota or self.usable)


def examine(root: Path = _ROOT) -> Machine:
    """Return the facts."""
    memory, available = _memory(root)
    limit, quota = _memory_limit(root), _cpu_quota(root)
    cores = os.cpu_count() or 1
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(root),
        cores=cores,
        usable=_usable() or cores,
        quota=quota,
        load=_load(),
        memory=memory,
        available=available,
        limit=limit if limit and (memory is None or limit < memory) else None,
        instructions=instructions(root),
    )


def instructions(root: Path = _ROOT) -> dict[str, bool]:
    """Return which of the instruction sets that matter here the processor has; empty where the system does not tell."""
    if flags := set(_cpu_fact(root, "flags").split()):
        return {name: name in flags for name in _X86}
    if features := set(_cpu_fact(root, "Features").split()):
        return {name: not features.isdisjoint(names) for name, names in _ARM.items()}
    return {"neon": True} if platform.machine() in ("arm64", "aarch64") else {}  # which 64-bit Arm always has


def has_nvidia_driver(root: Path = _ROOT) -> bool:
    """Return whether an NVIDIA driver is loaded, whatever PyTorch sees; only Linux tells."""
    return (root / "proc/driver/nvidia").exists()


def _processor(root: Path) -> str:
    names = (_cpu_fact(root, "model name"), _sysctl("machdep.cpu.brand_string"), platform.processor(), platform.machine())
    return next((name for name in names if name), "unknown")


def _usable() -> int | None:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has no such call
        return None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _memory(root: Path) -> tuple[int | None, int | None]:
    """Return the bytes that there are, and those available."""
    lines = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    facts = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1 and words[1].isdecimal()}
    return facts.get("MemTotal") or _physical(), facts.get("MemAvailable")


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _memory_limit(root: Path) -> int | None:
    """Return the smallest limit on memory of the control groups that this process is in, in bytes."""
    files = ("memory.max", "memory.limit_in_bytes")
    texts = (_text(folder / file).strip() for folder in _groups(root, "memory") for file in files)
    return min((int(text) for text in texts if text.isdecimal() and int(text) < _UNLIMITED), default=None)


def _cpu_quota(root: Path) -> float | None:
    """Return the smallest limit on processor time of the control groups that this process is in, in cores."""
    quotas = []
    for folder in _groups(root, "cpu"):
        old = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
        for text in (_text(folder / "cpu.max"), old):
            words = text.split()
            if len(words) == 2 and all(word.isdecimal() for word in words):  # 'max', or -1, is no limit
                quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups, of versions 1 and 2, each with those above it."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / (controller if controllers else "")
        inside = Path(path.lstrip("/"))
        yield from (base / part for part in (inside, *inside.parents))


def _cpu_fact(root: Path, name: str) -> str:
    lines = _text(root / "proc/cpuinfo").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name) and ":" in line), "")


def _sysctl(name: str) -> str:
    """Return a fact of macOS; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=2)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
