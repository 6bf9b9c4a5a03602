"""Full disks, read-only folders, folders that vanish: a clear error, and nothing that was saved is lost.

The trainings run in one process of their own (`harms.py`), in which a small tmpfs is really full and a mount really read-only
where mounting is permitted (user namespaces); elsewhere a limit for the size of files and refusals stand in.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.harms import ALL, QUICK
from tests.training.test_resume import assert_same_run

from simulacra.interfaces.cli import main
from simulacra.interfaces.commands import doctor

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--mount", "--map-root-user"]
REASONS = {
    "full": ("No space left on device", "free some space"),
    "read-only": ("Read-only file system", "make the folder writable"),
    "moved": ("moved or removed", "bring it back"),
    "without checkpoints": ("moved or removed", "bring it back"),
}


def may_mount(folder):
    """Return whether a process may mount a tmpfs in a namespace of its own."""
    if not shutil.which("unshare"):
        return False
    folder.mkdir()
    mount = [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def suffer(folder, how, cases="quick"):
    """Suffer the cases; return the folder with their runs, what was seen by (harm, moment), and how the harm was done."""
    words = [sys.executable, "-m", "tests.integration.harms", str(folder), how, cases]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(folder / "cache"))
        command = [*NAMESPACE, *words] if how == "mounts" else words
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return folder / "kept", {(one["harm"], one["moment"]): one for one in found}, how


@pytest.fixture(scope="module")
def suffered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harms")
    return suffer(folder, "mounts" if may_mount(folder / "trial") else "limits")


def check(suffered, harm, moment):
    kept, seen, how = suffered
    one = seen[harm, moment]
    reason, advice = REASONS[harm]
    errors = [line for line in one["errors"].splitlines() if line.startswith("error: ")]
    assert one["code"] == 1, one
    assert "Traceback" not in one["errors"], one
    assert len(errors) == 1, one
    assert errors[0].startswith("error: cannot write "), errors
    assert "run" in errors[0], errors
    assert reason in errors[0] or (how == "limits" and "File too large" in errors[0]), errors
    assert advice in errors[0], errors
    if moment != "creation":
        assert "then continue with `simulacra resume " in errors[0], errors
    expected = {"creation": None, "picture": 8, "report": 8, "checkpoint": 8, "end": 24}[moment]
    assert one["whole"] == (None if harm == "without checkpoints" else expected), one
    assert one["mended"] == 0, one
    assert_same_run(kept / "undisturbed", kept / f"{harm}-{moment}")


@pytest.mark.long
@pytest.mark.parametrize(("harm", "moment"), QUICK, ids=lambda text: text.replace(" ", "-"))
def test_a_harmed_training_says_what_happened_and_goes_on_to_the_same_bits(suffered, harm, moment):
    check(suffered, harm, moment)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mounts", "limits"])
def test_the_same_holds_at_every_moment_and_where_nothing_may_be_mounted(tmp_path, how):
    if how == "mounts" and not may_mount(tmp_path / "trial"):
        pytest.skip("no user namespace here in which a tmpfs may be mounted")
    suffered = suffer(tmp_path, how, "all")
    for harm, moment in ALL:
        check(suffered, harm, moment)


def test_an_error_of_the_disk_that_nobody_foresaw_is_a_sentence_too(monkeypatch, capsys):
    def fail(*arguments):
        raise OSError(5, "Input/output error", "/somewhere/file")

    monkeypatch.setattr(doctor, "run", fail)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "error: /somewhere/file: Input/output error\n"
