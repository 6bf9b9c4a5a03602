"""Examine the machine: hardware, speed, accelerations and the reasons why they are off, recommendations."""

import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from simulacra.data.locations import CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folder
from simulacra.engine import hardware, machine
from simulacra.engine import speed as speeds
from simulacra.engine.compilation import find_compiler
from simulacra.engine.machine import Machine

_LITTLE = 2 * 2**30  # bytes of memory or disk below which there is a recommendation
_BUSY = 0.5  # load above which a machine is busy


@dataclass(frozen=True)
class Findings:
    """The result of an examination."""

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


def examine(threads: int = 0, root: Path = Path("/"), device: Literal["auto", "cpu", "cuda"] = "auto") -> Findings:
    """Return facts about the machine, with speeds measured on a device with so many threads, 0 for torch's default."""
    if threads:
        torch.set_num_threads(threads)
    facts = machine.examine(root)  # first, before this process adds to the load
    used = hardware.device_of(device)
    precision = hardware.precision_of("auto", used)
    places = {"data": place(data_folder(), DATA_VARIABLE), "cache": place(cache_folder(), CACHE_VARIABLE)}
    why = f"--threads {threads}" if threads else threads_why(os.environ, facts)
    gpu, count = _gpu(hardware.device_of("auto")), torch.get_num_threads()
    built = {"version": torch.__version__, "cuda": torch.version.cuda, "kernels": torch.backends.cpu.get_cpu_capability()}
    built["arithmetic"] = str(precision).removeprefix("torch.")
    versions = {extra: _version(package) for extra, package in extras().items()}
    advice = advise(facts, count, places, blind=gpu is None and machine.has_nvidia_driver(root))
    measured = speeds.measure(used, precision)
    return Findings(facts, count, why, gpu, built, used.type, accelerations(used), places, versions, measured, advice)


def extras() -> dict[str, str]:
    """Return the optional extras of the package (`pip install "simulacra[NAME]"`), each with the package that it installs."""
    found: dict[str, str] = {}
    for line in requires("simulacra") or ():
        match = re.match(r"([\w.-]+).*extra\s*==\s*[\"']([\w-]+)[\"']", line)
        if match and match[2] != "dev":
            found.setdefault(match[2], match[1])
    return found


def threads_why(environment: Mapping[str, str], facts: Machine) -> str:
    """Return the reason for torch's number of threads."""
    names = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if environment.get(name)]
    return f"{names[0]} is {environment[names[0]]}" if names else f"one for each of the {facts.usable} usable cores"


def accelerations(device: torch.device) -> dict[str, dict[str, Any]]:
    """Return whether each acceleration is on, and the reason, by name."""
    on_cpu, keeps = device.type == "cpu", hardware.keep_memory()
    waits = os.environ.get("GOMP_SPINCOUNT")
    no_allocator = "SIMULACRA_MALLOC is 0" if os.environ.get("SIMULACRA_MALLOC") == "0" else "needs Linux with glibc"
    convolutions = "their gradients are faster on CPUs" if on_cpu else "the stock ones are fast on GPUs"
    held = "where they take at most a quarter of its free memory; else batches are sent as bytes"
    rows: list[tuple[str, bool, str]] = [
        ("bfloat16", hardware.has_bfloat16(device), _why_bfloat16(device)),
        ("allocator keeps memory", keeps, "1.1-1.6x in training on CPUs" if keeps else no_allocator),
        ("channels last", True, "convolutions in batches of 4 or more"),
        ("own transposed convolutions", on_cpu, convolutions),
        ("fused Adam", True, "one operation for all parameters"),
        ("short waits of threads", waits is not None, f"GOMP_SPINCOUNT is {waits}" if waits else "GOMP_SPINCOUNT is not set"),
        ("torch.compile", False, f"only with --compile; {_why_compile(device)}"),
        ("images held on the GPU", not on_cpu, "only on GPUs" if on_cpu else held),
    ]
    return {name: {"on": on, "why": why} for name, on, why in rows}


def place(path: Path | None, variable: str) -> dict[str, Any]:
    """Return facts about a folder: its path, whether it exists, whether it is writable, the number of free bytes."""
    nearest = next((folder for folder in (path, *path.parents) if folder.is_dir()), None) if path else None
    free = shutil.disk_usage(nearest).free if nearest else None
    facts = {"path": str(path) if path else None, "variable": variable, "exists": path is not None and path.is_dir()}
    return facts | {"writable": _is_writable(nearest), "free": free}


def advise(facts: Machine, threads: int, places: Mapping[str, Mapping[str, Any]], *, blind: bool) -> tuple[str, ...]:
    """Return recommendations, one sentence for each problem that reduces speed or stops a training.

    blind: there is an NVIDIA driver, but PyTorch finds no GPU.
    """
    advice, cache, data = [], places["cache"], places["data"]
    load, most = facts.load or 0.0, math.ceil(facts.share)
    if load > _BUSY and load + threads > facts.usable + _BUSY:
        how = "one thread, as now, is the best choice" if threads == 1 else "train with --threads 1"
        advice.append(f"the machine is busy (load {load:g} on {facts.usable} cores): {how}; measure again when it is idle")
    elif threads > most:
        advice.append(f"{threads} threads share {facts.share:g} cores of CPU time: train with --threads {most}")
    left = min((count for count in (facts.available, facts.limit) if count is not None), default=_LITTLE)
    if left < _LITTLE:
        advice.append(f"little memory is left ({left / 2**30:.1f} GiB): reduce --batch, or use --accumulate")
    if not cache["writable"]:
        advice.append(f"the cache folder is not writable: set {cache['variable']} to one that is")
    elif cache["free"] < _LITTLE:
        free = f"{cache['free'] / 2**30:.1f} GiB"
        advice.append(f"little disk is left for the cache ({free}): set {cache['variable']} to another folder")
    if data["path"] and not data["exists"]:
        advice.append(f"{data['variable']} is {data['path']}, which is not a folder")
    if blind:
        advice.append("there is an NVIDIA driver, but this PyTorch finds no GPU: install a CUDA build of torch")
    return tuple(advice)


def _gpu(device: torch.device) -> dict[str, Any] | None:
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    facts = {"name": torch.cuda.get_device_name(), "count": torch.cuda.device_count(), "memory": total, "free": free}
    return {**facts, "capability": "{}.{}".format(*torch.cuda.get_device_capability())}


def _why_bfloat16(device: torch.device) -> str:
    if hardware.has_bfloat16(device):
        return "networks compute in it, losses in float32"
    needs = "capability 8.0 or more" if device.type == "cuda" else "avx512_bf16 or amx_bf16"
    return f"this {device.type.upper()} has no native bfloat16 (needs {needs}): networks compute in float32"


def _why_compile(device: torch.device) -> str:
    if device.type == "cuda":
        return "Triton is installed" if find_spec("triton") else "needs Triton, which is not installed"
    compiler = find_compiler(os.environ)
    return f"uses {compiler}" if compiler else "needs a C++ compiler, and there is none: install g++ or set CXX"


def _is_writable(folder: Path | None) -> bool:
    """Return whether a file can be written into a folder. It writes one, since permissions miss full and read-only disks."""
    if folder is None:
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
