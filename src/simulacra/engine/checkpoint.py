"""Checkpoints: safetensors and JSON in a folder that is whole or not there. No pickle.

A checkpoint is written beside the others under a temporary name, synced, and renamed; older ones are removed only then.
`state.json` holds the SHA-256 of every file, so that a damaged checkpoint is refused by name and the one before it used.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.core.errors import SimulacraError
from simulacra.core.files import sync_folder, unwritable

_STATE = "state.json"
_FORMAT = 1  # raised when what stands in a checkpoint changes


class DamagedCheckpoint(SimulacraError):
    """A checkpoint whose files are missing or differ from what was written."""


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on: groups of named tensors (model, average, optimizers), and plain facts."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    facts: Mapping[str, Any]


def write(folder: Path, step: int, checkpoint: Checkpoint, keep: int) -> Path:
    """Write the checkpoint of a step into `folder`, durably, then remove all but the last `keep`; return its path."""
    final = folder / f"step_{step:08d}"
    temporary = folder / f".writing-{os.getpid()}"
    if _is_whole(final):
        return final  # a step has one state, so it is this one
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".writing-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        temporary.mkdir()
        digests = {}
        for group, tensors in checkpoint.tensors.items():
            content = serialize_tensors({name: _plain(tensor) for name, tensor in tensors.items()})
            digests[f"{group}.safetensors"] = hashlib.sha256(content).hexdigest()
            _write_synced(temporary / f"{group}.safetensors", content)
        state = {"format": _FORMAT, "step": step, "facts": checkpoint.facts, "sha256": digests}
        _write_synced(temporary / _STATE, json.dumps(state, indent=1, allow_nan=False).encode())
        sync_folder(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise unwritable(final, error) from error
    _remove_others(folder, final, keep)
    return final


def paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def read(path: Path, groups: tuple[str, ...] | None = None) -> Checkpoint:
    """Return a checkpoint, or only some of its groups; raises DamagedCheckpoint."""
    try:
        state = json.loads((path / _STATE).read_text())
        _require_format(state["format"])
        names = [name for name in state["sha256"] if groups is None or name.removesuffix(".safetensors") in groups]
        tensors = {name.removesuffix(".safetensors"): _read_group(path / name, state["sha256"][name]) for name in names}
        return Checkpoint(tensors, {**state["facts"], "step": state["step"]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"checkpoint {path} cannot be read: {error}") from error


def read_newest(folder: Path, groups: tuple[str, ...] | None = None) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that is whole, and what was wrong with newer ones; raises DamagedCheckpoint."""
    problems: list[str] = []
    for path in reversed(paths(folder)):
        try:
            return read(path, groups), problems
        except DamagedCheckpoint as error:
            problems.append(str(error))
    raise DamagedCheckpoint("; ".join(problems) or f"there is no checkpoint in {folder}: the run stopped before its first one")


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        read(path)
    except DamagedCheckpoint:
        return False
    return True


def _require_format(number: int) -> None:
    if number != _FORMAT:
        raise ValueError(f"its format is {number}, and this version of Simulacra reads {_FORMAT}")


def _read_group(path: Path, digest: str) -> dict[str, Tensor]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path.name} differs from what was written (SHA-256)")
    tensors: dict[str, Tensor] = parse_tensors(content)
    return tensors


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_others(folder: Path, newest: Path, keep: int) -> None:
    """Remove all but the last `keep` up to the newest; later steps are damaged, since training went on from before them."""
    found = paths(folder)
    current = found.index(newest)
    for path in found[: max(0, current + 1 - keep)] + found[current + 1 :]:
        shutil.rmtree(path, ignore_errors=True)
