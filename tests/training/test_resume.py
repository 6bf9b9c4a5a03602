"""Stopping and resuming: signals, kills, damaged checkpoints, full disks."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from tests.processes import Command
from tests.recording import Listener

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.engine import checkpoint
from simulacra.engine.checkpoint import Checkpoint, DamagedCheckpoint
from simulacra.interfaces.cli import main
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve
from simulacra.training.train import resume, train

RECIPE = {
    "family": "vae",
    "data": {"data": "digits"},
    "model": {"features": (4, 8), "hidden": (16,), "latent_dim": 3},
    "train": {
        "duration": "60",
        "batch": 64,
        "snapshots": 4,
        "threads": 1,
        "log_every": 7,
        "checkpoint_every": "10",
        "device": "cpu",
    },
}


def weights(path):
    groups = checkpoint.read(checkpoint.paths(path / "checkpoints")[-1]).tensors
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def losses(path):
    timing = ("seconds", "images_per_second")
    records = [json.loads(line) for line in (path / "reports.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in timing} for record in records]


def assert_same_run(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert losses(one) == losses(other)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        return train(resolve(RECIPE, {}), tmp_path_factory.mktemp("straight") / "run").run.path


def start(out, *extra):
    """Start a training in a process of its own."""
    flags = "--features 4,8 --hidden 16 --latent-dim 3 --for 60 --batch 64 --snapshots 4 --threads 1 --log-every 7"
    words = f"train vae {flags} --checkpoint-every 10 --device cpu --out {out}"
    return Command(out.with_name("streams"), *words.split(), *extra)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.002)


@pytest.mark.long
def test_a_killed_run_resumes_bit_for_bit(straight, tmp_path):
    out = tmp_path / "killed"
    process = start(out)
    wait_for(lambda: len(list(out.glob("checkpoints/step_*"))) > 0)
    process.kill()
    assert resume(out).finished
    assert_same_run(straight, out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_prints_how_to_resume(straight, tmp_path, number):
    out = tmp_path / "stopped"
    process = start(out, "--for", "100000")
    wait_for(lambda: len(list(out.glob("checkpoints/step_*"))) > 0)
    os.kill(process.pid, number)
    code, said, errors = process.ended()
    assert code == 1
    assert f"simulacra resume {out}" in said
    assert "Traceback" not in errors
    step = checkpoint.read(checkpoint.paths(out / "checkpoints")[-1]).facts["step"]
    assert f"step {step:,}" in said


@pytest.mark.long
def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(straight, tmp_path):
    out = tmp_path / "early"
    shutil.copytree(straight, out)
    shutil.rmtree(out / "checkpoints")
    assert resume(out).finished
    assert_same_run(straight, out)


def test_a_damaged_checkpoint_is_named_and_the_previous_one_used(straight, tmp_path):
    out = tmp_path / "damaged"
    shutil.copytree(straight, out)
    newest = checkpoint.paths(out / "checkpoints")[-1]
    file = newest / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    listener = Listener()
    assert resume(out, progress=listener).finished
    assert any(newest.name in message and "SHA-256" in message for message in listener.said)
    assert_same_run(straight, out)


def test_a_finished_run_can_be_made_longer(straight, tmp_path):
    out = tmp_path / "longer"
    shutil.copytree(straight, out)
    outcome = resume(out, "70")
    assert outcome.step == 70
    assert Run.open(out).config.train.duration == "70"


def test_resuming_on_other_data_is_refused(straight, tmp_path):
    out = tmp_path / "other"
    shutil.copytree(straight, out)
    facts = json.loads((out / "provenance.json").read_text())
    facts["data"]["digest"] = "0" * 64
    (out / "provenance.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="was trained on digits"):
        resume(out)


@pytest.mark.long
def test_two_processes_never_write_one_run_and_watch_reads_its_status(straight, tmp_path, capsys):
    out = tmp_path / "held"
    process = start(out, "--for", "100000")
    wait_for(lambda: len(list(out.glob("checkpoints/step_*"))) > 0)
    with pytest.raises(SimulacraError, match=str(process.pid)):
        resume(out)
    assert main(["watch", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "training"
    process.kill()
    assert main(["watch", str(out)]) == 1
    assert capsys.readouterr().out.startswith("stopped: ")
    reached = checkpoint.read_newest(out / "checkpoints")[0].facts["step"]
    resume(out, str(reached + 2))  # the lock died with its holder


def test_only_the_last_checkpoints_are_kept(straight):
    assert [path.name for path in checkpoint.paths(straight / "checkpoints")] == ["step_00000050", "step_00000060"]


def test_the_old_checkpoint_stays_until_the_new_one_is_complete(tmp_path, monkeypatch):
    state = Checkpoint({"model": {"weight": torch.ones(3)}}, {})
    checkpoint.write(tmp_path, 1, state, keep=1)

    def full_disk(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_synced", full_disk)
    with pytest.raises(SimulacraError, match="No space left on device"):
        checkpoint.write(tmp_path, 2, state, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001"]
    assert torch.equal(checkpoint.read(tmp_path / "step_00000001").tensors["model"]["weight"], torch.ones(3))


@pytest.mark.parametrize("damage", ["truncate", "remove", "foreign", "garbage"])
def test_every_kind_of_damage_to_a_checkpoint_is_detected(tmp_path, damage):
    path = checkpoint.write(tmp_path, 3, Checkpoint({"model": {"weight": torch.ones(3)}}, {}), keep=1)
    file = path / "model.safetensors"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "remove":
        file.unlink()
    elif damage == "foreign":
        (path / "state.json").write_text("[]")
    else:
        (path / "state.json").write_text("{")
    with pytest.raises(DamagedCheckpoint, match="step_00000003"):
        checkpoint.read(path)


def test_no_file_of_a_run_is_a_pickle(straight):
    suffixes = {path.suffix for path in Path(straight).rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {".toml", ".json", ".jsonl", ".png", ".gif", ".safetensors", ".html"}


def test_watch_reads_the_status_of_a_finished_run(straight, capsys):
    assert main(["watch", str(straight), "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert (now["state"], now["step"], now["share"]) == ("finished", 60, 1.0)
