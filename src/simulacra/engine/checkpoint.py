"""Checkpoints: safetensors and JSON in a folder that is whole or not there. No pickle.

A checkpoint is written beside the others under a temporary name, synced, and renamed; older ones are removed only then.
`state.json` holds the SHA-256 of every file and of itself, so that a damaged checkpoint is refused by name and the one before it
used. One that is replaced by another of its step is first set aside as `step_N.old`, under which it is still found.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.core.errors import SimulacraError
from simulacra.core.files import sync_folder, unwritable

_STATE = "state.json"
_FORMAT = 2  # raised when what stands in a checkpoint changes
_ASIDE = ".old"


class DamagedCheckpoint(SimulacraError):
    """A checkpoint whose files are missing, differ from what was written, or belong to something else."""


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on: groups of named tensors (model, average, optimizers), and plain facts."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    facts: Mapping[str, Any]


def write(folder: Path, step: int, checkpoint: Checkpoint, keep: int) -> Path:
    """Write the checkpoint of a step into `folder`, durably, then remove all but the last `keep`; return its path.

    `folder` must exist: where it was moved away during training, a new one would hide that. Raises Unwritable.
    """
    final = folder / _name(step)
    temporary = folder / f".writing-{os.getpid()}"
    try:
        for left_over in folder.glob(".writing-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        temporary.mkdir()
        _write_files(temporary, step, checkpoint)
        sync_folder(temporary)
        _give_name(temporary, final)
        sync_folder(folder)
        _remove_others(folder, final, keep)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise unwritable(final, error) from error
    return final


def paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first; one that was set aside stands before the one that replaces it."""
    return sorted((path for path in folder.glob("step_*") if path.is_dir()), key=lambda path: (path.stem, path.suffix == ""))


def read(path: Path, groups: tuple[str, ...] | None = None) -> Checkpoint:
    """Return a checkpoint, or only some of its groups; raises DamagedCheckpoint."""
    try:
        state = _read_state(path)
        names = [name for name in state["sha256"] if groups is None or name.removesuffix(".safetensors") in groups]
        tensors = {name.removesuffix(".safetensors"): _read_group(path / name, state["sha256"][name]) for name in names}
        return Checkpoint(tensors, {**state["facts"], "step": state["step"]})
    except (OSError, ValueError, SafetensorError) as error:
        raise DamagedCheckpoint(f"checkpoint {path} cannot be read: {error}") from error


def read_newest(
    folder: Path, groups: tuple[str, ...] | None = None, wrong: Callable[[Checkpoint], str] = lambda checkpoint: ""
) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that is whole, and what is wrong with newer ones; raises DamagedCheckpoint.

    `wrong` says what makes a whole checkpoint unusable to the caller; empty where nothing does.
    """
    problems: list[str] = []
    listed = paths(folder)
    for path in reversed(listed):
        try:
            found = read(path, groups)
        except DamagedCheckpoint as error:
            problems.append(str(error))
            continue
        if problem := wrong(found):
            problems.append(f"checkpoint {path} is refused: {problem}")
        else:
            return found, problems
    if paths(folder) != listed:  # the training went on meanwhile, and removed what was being read
        return read_newest(folder, groups, wrong)
    if not problems:
        raise DamagedCheckpoint(f"there is no checkpoint in {folder}: the run stopped before its first one")
    advice = f"Bring back a whole one; without {folder}, 'simulacra resume {folder.parent}' starts from the beginning"
    raise DamagedCheckpoint(f"{'; '.join(problems)}. {advice}")


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _write_files(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    digests = {}
    for group, tensors in checkpoint.tensors.items():
        content = serialize_tensors({name: _plain(tensor) for name, tensor in tensors.items()})
        digests[f"{group}.safetensors"] = hashlib.sha256(content).hexdigest()
        _write_synced(folder / f"{group}.safetensors", content)
    state = {"format": _FORMAT, "step": step, "facts": checkpoint.facts, "sha256": digests}
    content = json.dumps({**state, "seal": _seal(state)}, indent=1, allow_nan=False).encode()
    _write_synced(folder / _STATE, content)


def _give_name(temporary: Path, final: Path) -> None:
    """Rename; a checkpoint of that name is set aside, not removed, until the new one is in its place."""
    if final.exists():
        aside = final.with_suffix(_ASIDE)
        if aside.exists():
            shutil.rmtree(aside)
        final.rename(aside)
    temporary.rename(final)


def _read_state(path: Path) -> dict[str, Any]:
    """Return what stands in `state.json`; raises ValueError unless that is what was written, into this checkpoint."""
    state = json.loads((path / _STATE).read_text())
    if not isinstance(state, dict):
        raise ValueError(f"{_STATE} is not that of a checkpoint")  # noqa: TRY004 - the file is wrong, not the program
    if state.get("format") != _FORMAT:
        raise ValueError(f"its format is {state.get('format')}, and this version of Simulacra reads {_FORMAT}")
    if state.pop("seal", None) != _seal(state):
        raise ValueError(f"{_STATE} differs from what was written (SHA-256)")
    if path.stem != _name(state["step"]):
        raise ValueError(f"it is that of step {state['step']}")
    return state


def _seal(state: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the values in a state, however they are laid out in its file."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, allow_nan=False).encode()).hexdigest()


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
    for path in folder.glob(f"step_*{_ASIDE}"):
        if path.with_suffix("").exists():
            shutil.rmtree(path, ignore_errors=True)
    found = paths(folder)
    current = found.index(newest)
    for path in found[: max(0, current + 1 - keep)] + found[current + 1 :]:
        shutil.rmtree(path, ignore_errors=True)
