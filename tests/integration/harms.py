"""Harm trainings at chosen moments, mend it, resume: `python -m tests.integration.harms FOLDER HOW CASES`.

HOW is `mounts`, where this process may mount (it then has FOLDER on a small tmpfs of its own), or `limits`, where it may not:
then a full disk is a limit for the size of files, and a read-only folder a refusal by the functions that open files.
CASES is `quick` or `all`. For each harm and moment, one JSON line on standard output; runs are copied to FOLDER/kept.
"""

import contextlib
import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch

from simulacra.engine import checkpoint
from simulacra.engine.reports import Reports
from simulacra.images import files
from simulacra.interfaces.cli import main
from simulacra.runs.run import Run

FLAGS = (
    "train vae --data digits --features 2 --hidden 8 --latent-dim 2 --for 24 --batch 32 --snapshots 3 --threads 1 --log-every 1 "
    "--checkpoint-every 8 --device cpu --seed 3"
)
MOMENTS = {  # what is called, and at which call the harm is done
    "creation": (Run, "create", 1),
    "picture": (files, "write_bytes", 6),
    "report": (Reports, "append", 11),
    "checkpoint": (checkpoint, "_write_synced", 6),  # the second file of the second checkpoint
    "end": (Run, "update_provenance", 1),
}
QUICK = [
    ("full", "picture"),
    ("full", "checkpoint"),
    ("read-only", "creation"),
    ("moved", "report"),
    ("without checkpoints", "checkpoint"),
]
ALL = [
    *QUICK,
    *(("full", moment) for moment in ("creation", "report", "end")),
    *(("read-only", moment) for moment in ("picture", "report", "checkpoint", "end")),
    *(("moved", moment) for moment in ("picture", "checkpoint", "end")),
]


class Full:
    """A disk without a free byte."""

    def __init__(self, run: Path, mounts: bool) -> None:
        self.filler, self.mounts = run.parent / "filler", mounts

    def do(self) -> None:
        if not self.mounts:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with self.filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def mend(self) -> None:
        if self.mounts:
            self.filler.unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class ReadOnly:
    """A folder that nobody may write to."""

    def __init__(self, run: Path, mounts: bool) -> None:
        self.folder, self.mounts = run.parent, mounts
        self.patches = contextlib.ExitStack()

    def do(self) -> None:
        if self.mounts:
            subprocess.run(["mount", "--bind", self.folder, self.folder], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", self.folder], check=True)
            return
        for module, name in ((io, "open"), (os, "open"), (os, "mkdir")):
            self.patches.enter_context(mock.patch.object(module, name, self._refusing(getattr(module, name), name)))

    def mend(self) -> None:
        if self.mounts:
            subprocess.run(["umount", self.folder], check=True)
        self.patches.close()

    def _refusing(self, function, name):
        def call(path, mode="r", *rest, **named):
            writes = name == "mkdir" or (mode & (os.O_WRONLY | os.O_RDWR) if isinstance(mode, int) else set(mode) & set("wa+x"))
            if writes and Path(path).is_relative_to(self.folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, mode, *rest, **named)

        return call


class Moved:
    """A run folder that somebody moves away."""

    def __init__(self, run: Path, mounts: bool) -> None:
        self.run, self.aside = run, run.with_name("aside")

    def do(self) -> None:
        self.run.rename(self.aside)

    def mend(self) -> None:
        assert not self.run.exists(), "half a run was made where the folder had been"
        self.aside.rename(self.run)


class WithoutCheckpoints:
    """A run whose checkpoints somebody removes."""

    def __init__(self, run: Path, mounts: bool) -> None:
        self.checkpoints = run / "checkpoints"

    def do(self) -> None:
        shutil.rmtree(self.checkpoints)

    def mend(self) -> None:
        pass


HARMS: dict[str, type[Full | ReadOnly | Moved | WithoutCheckpoints]] = {
    "full": Full,
    "read-only": ReadOnly,
    "moved": Moved,
    "without checkpoints": WithoutCheckpoints,
}


@contextlib.contextmanager
def at(moment, harm):
    """Do the harm right before the given call of a function."""
    holder, name, when = MOMENTS[moment]
    original, calls = getattr(holder, name), 0

    def call(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == when:
            harm.do()
        return original(*arguments, **named)

    with mock.patch.object(holder, name, call):
        yield


def command(words):
    """Run a command; return its exit code and what it said on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    return code, errors.getvalue()


def newest(run):
    """Return the step of the newest whole checkpoint, or None."""
    with contextlib.suppress(checkpoint.DamagedCheckpoint):
        return checkpoint.read_newest(run / "checkpoints")[0].facts["step"]
    return None


def suffer(folder, how, kind, moment):
    """Train under one harm, mend it, go on to the end; return what was seen."""
    folder.mkdir()
    run = folder / "run"
    train = [*FLAGS.split(), "--out", run]
    harm = HARMS[kind](run, how == "mounts")
    with at(moment, harm):
        code, errors = command(train)
    harm.mend()
    whole = newest(run)
    begun = (run / "config.toml").exists()
    mended, said = command(["resume", run] if begun else train)
    return {"harm": kind, "moment": moment, "code": code, "errors": errors, "whole": whole, "mended": mended, "said": said}


def play(folder, how, cases):
    """Suffer the cases, beside an undisturbed run."""
    torch.set_num_threads(1)
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    kept.mkdir()
    if how == "mounts":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    code, errors = command([*FLAGS.split(), "--out", kept / "undisturbed"])
    assert code == 0, errors
    for index, (kind, moment) in enumerate(cases):
        place = disk / str(index)
        sys.stdout.write(json.dumps(suffer(place, how, kind, moment)) + "\n")
        shutil.copytree(place / "run", kept / f"{kind}-{moment}")
        shutil.rmtree(place)


if __name__ == "__main__":
    play(Path(sys.argv[1]), sys.argv[2], ALL if sys.argv[3] == "all" else QUICK)
