"""What the machine can do, and the settings that make it do so."""

import ctypes
import os
import platform
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from simulacra.core.errors import UsageError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)


def keep_memory() -> bool:
    """Tell glibc to keep freed memory instead of unmapping every large activation; return whether it was told.

    Gains 1.1-1.6x in training on CPUs. SIMULACRA_MALLOC=0 leaves the allocator alone.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc" or os.environ.get("SIMULACRA_MALLOC") == "0":
        return False
    libc = ctypes.CDLL("libc.so.6")
    settings = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 * 2**20))
    told = [libc.mallopt(name, value) for name, value in settings]
    return all(told)


def channels_last(network: nn.Module) -> None:
    """Store the convolutions of a network, if it has any, channels-last, which is how images come."""
    if any(isinstance(module, nn.Conv2d) for module in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def device_of(choice: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device for a choice; raises UsageError where there is no GPU."""
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise UsageError("device is 'cuda', but this PyTorch sees no GPU: use --device cpu, or install a CUDA build of torch")
    return torch.device("cuda" if choice != "cpu" and available else "cpu")


def precision_of(choice: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """Return the type in which networks compute: bfloat16 where the hardware has it natively, unless told otherwise."""
    if choice == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return torch.bfloat16 if choice == "bfloat16" else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return "avx512_bf16" in cpu_flags() or "amx_bf16" in cpu_flags()


def cpu_flags() -> frozenset[str]:
    """Return the processor's instruction-set flags as Linux names them; empty elsewhere."""
    return frozenset(_cpu_fact("flags").split())


def describe() -> dict[str, str | int]:
    """Return the processor, its cores and threads, and the GPU if there is one."""
    facts: dict[str, str | int] = {
        "processor": _cpu_fact("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _cpu_fact(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
