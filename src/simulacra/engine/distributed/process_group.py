"""The process group of a command: what connects the processes that torchrun started.

A process that ends closes its connections, which the others notice at once. A host that loses its power or its network does not,
and TCP alone would wait for it for a quarter of an hour, or for ever; so the connections are set to probe it.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.launch import launched
from simulacra.engine.distributed.processes import ALONE, LOST_TRAINING, Processes

_TIMEOUT = timedelta(hours=6)  # of one exchange; the first process may be decoding a data set or validating
_STARTING = timedelta(minutes=10)  # until the first process accepts connections
_SILENCE = 90  # seconds without an answer of another host, even to probes, after which it is lost
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 1000 * _SILENCE}  # seconds, seconds, milliseconds
_CLOSING = 0.2  # seconds for gloo's threads to release the last tensors; they abort an interpreter that exits before

_numbers = count()  # of the process groups of this process


@contextmanager
def joined(lost: str = LOST_TRAINING) -> Iterator[Processes]:
    """Initialize the process group inside, if torchrun started several processes: gloo between CPUs, NCCL between GPUs.

    lost: the error message where another process has ended. Raises UsageError where a process group is initialized already,
    SimulacraError where the processes cannot connect.
    """
    place = launched()
    if place.count == 1:
        yield ALONE
        return
    if dist.is_initialized():
        raise UsageError("torch.distributed is initialized already: call torch.distributed.destroy_process_group() before")
    backend, before = "gloo", _open_sockets()
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local)
        backend = "cpu:gloo,cuda:nccl"
    try:
        store = PrefixStore(f"simulacra {next(_numbers)}", _store())
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.count, timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise SimulacraError(_not_connected(error)) from error
    _probe(_open_sockets() - before)
    try:
        processes = Processes(place.rank, place.count, place.local, lost)
        yield processes
        processes.highest(0.0)  # wait until all processes have finished their exchanges
    finally:
        time.sleep(_CLOSING)
        dist.destroy_process_group()


@cache
def _store() -> Store:
    """Return the key-value store of all processes; kept, since a second server would need the port of the first."""
    store, _, _ = next(rendezvous("env://", timeout=_STARTING))
    store.set_timeout(_TIMEOUT)
    return store


def _open_sockets() -> set[int]:
    """Return the descriptors of the sockets of this process; none where the operating system does not list them."""
    if sys.platform != "linux":
        return set()
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found |= {int(path.name)} if str(path.readlink()).startswith("socket:") else set()
    return found


def _probe(descriptors: set[int]) -> None:
    """Let TCP connections fail when the other host has been silent for too long; the kernel answers for a busy process."""
    for descriptor in descriptors:
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:  # OSError: it is no TCP connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _PROBES.items():
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _not_connected(error: Exception) -> str:
    address = ":".join(os.environ.get(name, f"({name} is not set)") for name in ("MASTER_ADDR", "MASTER_PORT"))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    remedy = "check the address, the port, firewalls, and GLOO_SOCKET_IFNAME (NCCL_SOCKET_IFNAME for GPUs)"
    return f"the processes cannot connect, the first of which is expected at {address}: {reason}: {remedy}"
