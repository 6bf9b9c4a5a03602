"""Device, precision and allocator settings for the present hardware."""

import ctypes
import os
import platform
from typing import Literal

import torch
from torch import nn

from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.engine.machine import cpu_flags, processor, system

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)


def keep_memory() -> bool:
    """Configure glibc to keep freed memory instead of unmapping every large activation; return whether this succeeded.

    Training on CPUs is 1.1-1.6x faster with it. SIMULACRA_MALLOC=0 leaves the allocator unchanged.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc" or os.environ.get("SIMULACRA_MALLOC") == "0":
        return False
    libc = ctypes.CDLL("libc.so.6")
    settings = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 * 2**20))
    accepted = [libc.mallopt(name, value) for name, value in settings]
    return all(accepted)


def channels_last(network: nn.Module) -> None:
    """Store the convolutions of a network, if it has any, in channels-last memory format, the format of batches of images.

    A family that states `channels_last = False` is not changed.
    """
    if isinstance(network, Family) and not network.channels_last:
        return
    if any(isinstance(module, nn.Conv2d) for module in network.modules()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def device_of(choice: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device for a choice; raises UsageError for cuda without a GPU."""
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise UsageError("device is 'cuda', but PyTorch finds no GPU: use --device cpu, or install a CUDA build of torch")
    return torch.device("cuda" if choice != "cpu" and available else "cpu")


def precision_of(choice: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """Return the type in which networks compute; auto: bfloat16 if the hardware supports it, otherwise float32."""
    reduced = has_bfloat16(device) if choice == "auto" else choice == "bfloat16"
    return torch.bfloat16 if reduced else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device has instructions for bfloat16 matrix products."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return not cpu_flags().isdisjoint(("avx512_bf16", "amx_bf16"))


def describe() -> dict[str, str | int]:
    """Return the processor, the number of cores and threads, the system, and the GPU if there is one."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    return {"processor": processor(), "cores": cores, "threads": threads, "system": system(), **gpu}
