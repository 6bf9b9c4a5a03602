"""Checkpoints: folders of safetensors and JSON files, written atomically. No pickle.

A checkpoint is written under a temporary name, synced, and renamed; older ones are removed only after that. `state.json` holds
the SHA-256 of every file and of itself, so that a damaged checkpoint is detected and the previous one used. A checkpoint that is
replaced by another of the same step is first renamed to `step_N.old`, under which it is still found.
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
from simulacra.core.text import quoted

_STATE = "state.json"
_FORMAT = 3  # raised when the contents of a checkpoint change
_WRITTEN_BY = {2: "0.1"}  # version of Simulacra that wrote a format
_ASIDE = ".old"


class DamagedCheckpoint(SimulacraError):
    """A checkpoint whose files are missing, differ from what was written, or belong to another run."""


class IncompatibleCheckpoint(SimulacraError):
    """A checkpoint that another version of Simulacra wrote in another format."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to continue: groups of named tensors (see engine/state.py), and facts as JSON values."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    facts: Mapping[str, Any]


def write(folder: Path, step: int, checkpoint: Checkpoint, keep: int, also: int | None = None) -> Path:
    """Write the checkpoint of a step into `folder`, durably, then remove all but the last `keep` and `also`; return its path.

    also: a step whose checkpoint is kept too. `folder` must exist: if it was moved during training, creating a new one would hide
    that. Raises Unwritable.
    """
    final, temporary = folder / _name(step), folder / f".writing-{os.getpid()}"
    try:
        for left_over in folder.glob(".writing-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        temporary.mkdir()
        _write_files(temporary, step, checkpoint)
        sync_folder(temporary)
        _rename(temporary, final)
        sync_folder(folder)
        _remove_others(folder, final, keep, also)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise unwritable(final, error) from error
    return final


def paths(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first; a `.old` one before the one that replaces it."""
    return sorted((path for path in folder.glob("step_*") if path.is_dir()), key=lambda path: (path.stem, path.suffix == ""))


def exists(folder: Path, step: int) -> bool:
    """Return whether there is a checkpoint of a step in a folder."""
    return (folder / _name(step)).is_dir()


def read(path: Path, groups: tuple[str, ...] | None = None) -> Checkpoint:
    """Return a checkpoint, or only some of its groups; raises DamagedCheckpoint, IncompatibleCheckpoint."""
    try:
        state = _read_state(path)
        names = [name for name in state["sha256"] if groups is None or name.removesuffix(".safetensors") in groups]
        tensors = {name.removesuffix(".safetensors"): _read_group(path / name, state["sha256"][name]) for name in names}
        return Checkpoint(tensors, {**state["facts"], "step": state["step"]})
    except (OSError, ValueError, SafetensorError) as error:
        raise DamagedCheckpoint(f"checkpoint {path} cannot be read: {error}") from error


def read_newest(
    folder: Path,
    groups: tuple[str, ...] | None = None,
    wrong: Callable[[Checkpoint], str] = lambda checkpoint: "",
    preferred: int | None = None,
) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that is intact, or that of the step `preferred`; and the problems of those refused.

    wrong: returns why the caller cannot use an intact checkpoint, or an empty string. Raises DamagedCheckpoint where no
    checkpoint can be used, IncompatibleCheckpoint.
    """
    problems: list[str] = []
    listed = paths(folder)
    first = [path for path in listed if preferred is not None and path.stem == _name(preferred)]
    for path in reversed([*(path for path in listed if path not in first), *first]):
        try:
            found = read(path, groups)
        except DamagedCheckpoint as error:
            problems.append(str(error))
            continue
        if problem := wrong(found):
            problems.append(f"checkpoint {path} is refused: {problem}")
        else:
            return found, problems
    if paths(folder) != listed:  # a training process removed the checkpoint that was being read
        return read_newest(folder, groups, wrong, preferred)
    if not problems:
        raise DamagedCheckpoint(f"there is no checkpoint in {folder}: the run stopped before its first one")
    advice = f"Restore one from a backup; without {folder}, `simulacra resume {quoted(folder.parent)}` starts from the beginning"
    raise DamagedCheckpoint(f"{'; '.join(problems)}. {advice}")


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _write_files(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    digests = {}
    for group, tensors in checkpoint.tensors.items():
        content = serialize_tensors({name: _on_cpu(tensor) for name, tensor in tensors.items()})
        digests[f"{group}.safetensors"] = hashlib.sha256(content).hexdigest()
        _write_synced(folder / f"{group}.safetensors", content)
    state = {"format": _FORMAT, "step": step, "facts": checkpoint.facts, "sha256": digests}
    content = json.dumps({**state, "seal": _seal(state)}, indent=1, allow_nan=False).encode()
    _write_synced(folder / _STATE, content)


def _rename(temporary: Path, final: Path) -> None:
    """Rename; an existing checkpoint of that name is kept as `.old` until the new one is in its place."""
    if final.exists():
        if (aside := final.with_suffix(_ASIDE)).exists():
            shutil.rmtree(aside)
        final.rename(aside)
    temporary.rename(final)


def _read_state(path: Path) -> dict[str, Any]:
    """Return the contents of `state.json`; raises ValueError if damaged or of another checkpoint, IncompatibleCheckpoint."""
    state = json.loads((path / _STATE).read_text())
    if not isinstance(state, dict):
        raise ValueError(f"{_STATE} is not that of a checkpoint")  # noqa: TRY004 - an error of the file, not of the caller
    if state.pop("seal", None) != _seal(state):
        raise ValueError(f"{_STATE} differs from what was written (SHA-256)")
    if (found := state["format"]) != _FORMAT:
        version = f"version {_WRITTEN_BY[found]}" if found in _WRITTEN_BY else "another version"
        raise IncompatibleCheckpoint(
            f"{path} was written by {version} of Simulacra in checkpoint format {found}, and this version reads format "
            f"{_FORMAT}: train again with this version, or use {version} to open the run"
        )
    if path.stem != _name(state["step"]):
        raise ValueError(f"it contains step {state['step']}")
    return state


def _seal(state: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the values in a state, independent of the formatting of its file."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _read_group(path: Path, digest: str) -> dict[str, Tensor]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path.name} differs from what was written (SHA-256)")
    return parse_tensors(content)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_others(folder: Path, newest: Path, keep: int, also: int | None) -> None:
    """Remove all but the last `keep` up to the newest, and that of the step `also`.

    Later steps are damaged, since training continued from an earlier one.
    """
    for path in folder.glob(f"step_*{_ASIDE}"):
        if path.with_suffix("").exists():
            shutil.rmtree(path, ignore_errors=True)
    found = paths(folder)
    end = found.index(newest) + 1
    for path in found[: max(0, end - keep)] + found[end:]:
        if also is None or path.stem != _name(also):
            shutil.rmtree(path, ignore_errors=True)
