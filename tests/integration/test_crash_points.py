"""A kill, and an error of the disk, at every single operation on files: what is read afterwards is the old or the new, whole.

Operations are counted by the interpreter's profiling hook, which sees every call of a function of the operating system or of a
file; a kill is a real one (`kill -9`), of a forked process.
"""

import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import torch

from simulacra.core.errors import SimulacraError
from simulacra.core.files import write_bytes
from simulacra.engine import checkpoint
from simulacra.engine.checkpoint import Checkpoint


@pytest.fixture
def tmp_path(tmp_path):
    """Return a folder in memory where there is one: hundreds of fsyncs cost nothing there, and a kill asks for none."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def state(value):
    groups = {group: {"w": torch.full((3,), float(value))} for group in ("model", "ema")}
    return Checkpoint(groups, {"value": value})


def write(folder, step, value, keep):
    return checkpoint.write(folder, step, state(value), keep)


def is_on_files(function):
    if function in (os.getpid, os.fspath):
        return False
    return getattr(function, "__module__", "") == "posix" or type(getattr(function, "__self__", None)).__module__ == "_io"


def operations(work, then=lambda number: None):
    """Work, calling `then` with the number of each operation on files right before it; return how many there were."""
    count = 0

    def see(frame, event, function):
        nonlocal count
        if event == "c_call" and (is_on_files(function) or function is open):
            count += 1
            then(count)

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def killed_at(number, work):
    """Work in a process of its own that is killed right before an operation; return whether it came that far."""

    def kill(count):
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of the test runner do nothing that the child needs
        child = os.fork()
    if not child:
        try:
            operations(work, kill)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def failed_at(number, work):
    """Work with an error of the disk instead of an operation; return whether it came that far."""
    reached, said = False, "Input/output error"

    def fail(count):
        nonlocal reached
        if count == number:
            reached = True
            raise OSError(5, "Input/output error")

    try:
        operations(work, fail)
    except SimulacraError as error:
        said = str(error)
    assert "Input/output error" in said
    return reached


REWRITES = {  # step, keep, and the values that may be read afterwards; before, steps 4 and 8 hold 4 and 8
    "next": (12, 2, {8, 12}),
    "next, keeping one": (12, 1, {8, 12}),
    "same step": (8, 2, {8, 12}),
    "same step, keeping one": (8, 1, {8, 12}),
    "after a damaged one": (6, 1, {4, 12}),
}


QUICK = ("same step, keeping one",)
CASES = [
    *(pytest.param(failed_at, rewrite) for rewrite in REWRITES),
    *(pytest.param(killed_at, rewrite, marks=pytest.mark.long if rewrite in QUICK else pytest.mark.slow) for rewrite in REWRITES),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that an error left to be closed
@pytest.mark.parametrize(("ended", "rewrite"), CASES)
def test_at_every_operation_the_old_or_the_new_checkpoint_is_whole(tmp_path, ended, rewrite):
    step, keep, allowed = REWRITES[rewrite]
    before = tmp_path / "before"
    before.mkdir()
    for value in (4, 8):
        write(before, value, value, keep=2)
    if rewrite == "after a damaged one":
        (before / "step_00000008" / "model.safetensors").write_bytes(b"damaged")
    read, number, reached = set(), 0, True
    while reached:
        number += 1
        folder = tmp_path / str(number)
        shutil.copytree(before, folder)
        reached = ended(number, lambda folder=folder: write(folder, step, 12, keep))
        found, problems = checkpoint.read_newest(folder)
        value = int(found.facts["value"])
        assert value in allowed, number
        assert all(torch.equal(group["w"], torch.full((3,), float(value))) for group in found.tensors.values()), number
        assert not problems or rewrite == "after a damaged one", number
        read.add(value)
        write(folder, 16, 16, keep=1)
        assert [path.name for path in folder.iterdir()] == ["step_00000016"], "the next one clears away what was left"
        shutil.rmtree(folder)
    assert read == allowed
    assert number > 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ended", [killed_at, failed_at])
def test_at_every_operation_a_replaced_file_is_the_old_or_the_new_one(tmp_path, ended):
    path = tmp_path / "config.toml"
    read, number, reached = set(), 0, True
    while reached:
        number += 1
        path.write_bytes(b"old" * 10_000)
        reached = ended(number, lambda: write_bytes(path, b"new" * 10_000))
        assert path.read_bytes() in (b"old" * 10_000, b"new" * 10_000), number
        read.add(path.read_bytes()[:3])
    assert read == {b"old", b"new"}
