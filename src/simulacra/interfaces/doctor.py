"""Examine the machine: what there is, how fast it computes, what is switched on and why not, and what to do about it."""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from simulacra.data.locations import CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folder
from simulacra.engine import hardware, machine, trackers
from simulacra.engine import speed as speeds
from simulacra.engine.compilation import find_compiler
from simulacra.engine.machine import Machine

_OTHER_EXTRAS = ("webdataset",)
_LITTLE = 2 * 2**30  # bytes of memory or disk below which we warn
_BUSY = 0.5  # processes beyond which a machine is not quiet


@dataclass(frozen=True)
class Findings:
    """What an examination found; `table` is what --json prints."""

    machine: Machine
    threads: int
    threads_why: str
    gpu: dict[str, Any] | None
    torch: dict[str, Any]
    device: str
    accelerations: dict[str, dict[str, Any]]  # by name: on, and why
    places: dict[str, dict[str, Any]]
    extras: dict[str, str | None]  # by name: the version, or None
    speeds: dict[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()

    def table(self) -> dict[str, Any]:
        """Return everything as it stands in JSON."""
        return {**asdict(self), "advice": list(self.advice)}


def examine(threads: int = 0, root: Path = Path("/")) -> Findings:
    """Return facts about the machine, with rates measured on some threads, 0 for as many as torch takes."""
    if threads:
        torch.set_num_threads(threads)
    facts = machine.examine(root)  # first, while nothing of ours adds to the load
    device = hardware.device_of("auto")
    precision = hardware.precision_of("auto", device)
    places = {"data": place(data_folder(), DATA_VARIABLE), "cache": place(cache_folder(), CACHE_VARIABLE)}
    why = f"--threads {threads}" if threads else threads_why(os.environ, facts)
    gpu = _gpu(device)
    built = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "arithmetic": str(precision).removeprefix("torch."),
    }
    return Findings(
        machine=facts,
        threads=torch.get_num_threads(),
        threads_why=why,
        gpu=gpu,
        torch=built,
        device=device.type,
        accelerations=accelerations(device),
        places=places,
        extras={name: _version(name) for name in (*_tracker_packages(), *_OTHER_EXTRAS)},
        speeds=speeds.measure(device, precision),
        advice=advise(facts, torch.get_num_threads(), places, blind=gpu is None and machine.has_nvidia_driver(root)),
    )


def threads_why(environment: Mapping[str, str], facts: Machine) -> str:
    """Return where the number of torch's threads comes from."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if value := environment.get(name):
            return f"{name} is {value}"
    return f"one for each core, of which {facts.usable} may be used"


def accelerations(device: torch.device) -> dict[str, dict[str, Any]]:
    """Return by name whether an acceleration is on, and why."""
    on_cpu = device.type == "cpu"
    told = hardware.keep_memory()
    compiler = find_compiler(os.environ)
    waits = os.environ.get("GOMP_SPINCOUNT")
    rows: list[tuple[str, bool, str]] = [
        ("bfloat16", hardware.has_bfloat16(device), _why_bfloat16(device)),
        ("allocator keeps memory", told, "1.1-1.6x in training on CPUs" if told else _why_allocator()),
        ("channels last", True, "convolutions in batches of 4 or more"),
        (
            "own transposed convolutions",
            on_cpu,
            "their gradients are faster on CPUs" if on_cpu else "the stock ones are fast on GPUs",
        ),
        ("fused Adam", True, "one operation for all parameters"),
        ("short waits of threads", waits is not None, f"GOMP_SPINCOUNT is {waits}" if waits else "GOMP_SPINCOUNT is not set"),
        ("torch.compile", False, f"only with --compile; {_why_compile(device, compiler)}"),
        ("images held on the GPU", False, "there is no GPU" if on_cpu else "batches are gathered in memory and sent as bytes"),
    ]
    return {name: {"on": on, "why": why} for name, on, why in rows}


def place(path: Path | None, variable: str) -> dict[str, Any]:
    """Return what there is to say about a folder: its path, whether it exists, can be written, and the bytes free there."""
    if path is None:
        return {"path": None, "variable": variable, "exists": False, "writable": False, "free": None}
    nearest = next((folder for folder in (path, *path.parents) if folder.is_dir()), None)
    free = shutil.disk_usage(nearest).free if nearest else None
    return {"path": str(path), "variable": variable, "exists": path.is_dir(), "writable": _is_writable(nearest), "free": free}


def advise(facts: Machine, threads: int, places: Mapping[str, Mapping[str, Any]], *, blind: bool) -> tuple[str, ...]:
    """Return what to do, one sentence for each finding that costs speed or will stop a training.

    blind: there is an NVIDIA driver, and yet PyTorch sees no GPU.
    """
    said = [_on_threads(facts, threads), _on_memory(facts), _on_cache(places["cache"]), _on_data(places["data"])]
    if blind:
        said.append("there is an NVIDIA driver, but this PyTorch sees no GPU: install a CUDA build of torch")
    return tuple(filter(None, said))


def _on_threads(facts: Machine, threads: int) -> str:
    load, most = facts.load or 0.0, math.ceil(facts.share)
    if load > _BUSY and load + threads > facts.usable + _BUSY:
        how = "one thread, as now, loses least" if threads == 1 else "train with --threads 1, which loses least"
        return f"the machine is busy (load {load:g} on {facts.usable} cores): {how}; measure again when it is quiet"
    if threads > most:
        return f"{threads} threads share {facts.share:g} cores' worth of time: train with --threads {most}"
    return ""


def _on_memory(facts: Machine) -> str:
    left = min((count for count in (facts.available, facts.limit) if count is not None), default=_LITTLE)
    if left >= _LITTLE:
        return ""
    return f"little memory is left ({left / 2**30:.1f} GiB): a smaller --batch takes less, or --accumulate"


def _on_cache(cache: Mapping[str, Any]) -> str:
    if not cache["writable"]:
        return f"the cache folder cannot be written: let {cache['variable']} name one that can"
    if cache["free"] < _LITTLE:
        return f"little disk is left for the cache ({cache['free'] / 2**30:.1f} GiB): let {cache['variable']} name another"
    return ""


def _on_data(data: Mapping[str, Any]) -> str:
    missing = data["path"] and not data["exists"]
    return f"{data['variable']} names {data['path']}, which is no folder" if missing else ""


def _gpu(device: torch.device) -> dict[str, Any] | None:
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    major, minor = torch.cuda.get_device_capability()
    facts = {"name": torch.cuda.get_device_name(), "count": torch.cuda.device_count(), "memory": total, "free": free}
    return {**facts, "capability": f"{major}.{minor}"}


def _why_bfloat16(device: torch.device) -> str:
    if hardware.has_bfloat16(device):
        return "networks compute in it, losses in float32"
    needs = "capability 8.0 or more" if device.type == "cuda" else "avx512_bf16 or amx_bf16"
    return f"this {device.type.upper()} has no native bfloat16 (needs {needs}): networks compute in float32"


def _why_allocator() -> str:
    return "SIMULACRA_MALLOC is 0" if os.environ.get("SIMULACRA_MALLOC") == "0" else "needs Linux with glibc"


def _why_compile(device: torch.device, compiler: str | None) -> str:
    if device.type == "cuda":
        return "Triton is installed" if find_spec("triton") else "it would need Triton, which is not installed"
    return f"it would use {compiler}" if compiler else "it would need a C++ compiler, and found none: install g++ or set CXX"


def _is_writable(folder: Path | None) -> bool:
    """Return whether a file can be made in a folder, tried rather than asked: a full or read-only disk says no."""
    if folder is None:
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _tracker_packages() -> list[str]:
    return [package for name in trackers.names() if (package := trackers.find(name).package)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
