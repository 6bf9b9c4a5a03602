"""Training in two processes, as torchrun starts them (trap 28)."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.engine import joint_training
from tests.engine.toy_games import SimultaneousGame
from tests.processes import together
from tests.recording import Listener

from simulacra.core.errors import UsageError
from simulacra.core.launch import Launch, launched
from simulacra.engine import checkpoint
from simulacra.engine.distributed.processes import ALONE, Abandoned, Processes
from simulacra.runs.run import Run
from simulacra.training.train import resume

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
DIGITS = [
    "--data",
    "digits",
    "--precision",
    "float32",
    "--network",
    "dense",
    "--hidden",
    "16",
    "--latent-dim",
    "2",
    "--batch",
    "16",
]

ROOT = Path(__file__).parents[2]


def start(*words: str, alone: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "simulacra", *words] if alone else [*TORCHRUN, "-m", "simulacra", *words]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


CHECKS = (
    "losses_and_weights_follow_one_process",
    "clipping_sees_the_whole_gradient",
    "noise_differs_and_weights_agree",
    "a_loss_that_is_not_finite_is_reported_by_all",
    "split_players_follow_whole_ones_and_resume_as_either",
    "a_parameter_outside_of_networks_gets_the_same_gradient_when_the_rest_is_split",
    "every_process_continues_with_its_own_buffers",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[list[list[str]], Path]:
    """What passed in each of two processes, and the folder with the runs that they trained.

    A process that has imported everything starts both, which costs less than torchrun.
    """
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        return together(joint_training.checked_and_trained, CHECKS, folder), folder


@pytest.mark.long
def test_two_processes_follow_one_with_the_same_batch_sharded_or_not(pair: tuple[list[list[str]], Path]) -> None:
    assert pair[0] == [list(CHECKS), list(CHECKS)]


@pytest.mark.long
def test_two_processes_go_on_to_the_bits_of_an_undisturbed_run_and_the_first_alone_writes(
    pair: tuple[list[list[str]], Path],
) -> None:
    straight, stopped = (Run.open(pair[1] / name) for name in ("straight", "stopped"))
    assert_same_weights(straight.path, stopped.path)
    for run in (straight, stopped):
        assert [line["step"] for line in run.reports.read() if line["kind"] == "train"] == list(range(1, 9))
    assert straight.provenance["processes"] == 2


@pytest.mark.long
def test_one_process_goes_on_with_a_run_of_two(pair: tuple[list[list[str]], Path], tmp_path: Path) -> None:
    shutil.copytree(pair[1] / "stopped", tmp_path / "run")
    listener = Listener()
    assert resume(tmp_path / "run", "10", progress=listener).step == 10
    assert any("in 2 micro-batches" in line for line in listener.said)


@pytest.mark.slow
def test_torchrun_starts_the_processes() -> None:
    command = [*TORCHRUN, "-m", joint_training.__name__, *CHECKS]  # one start for all checks
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("passed ")] == [f"passed {check}" for check in CHECKS]


@pytest.mark.slow
def test_the_first_process_alone_writes_and_a_killed_one_ends_all_and_resume_works(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = start("train", "vae", *DIGITS, "--for", "100000", "--checkpoint-every", "20", "--out", str(run))
    wait_for(lambda: len(checkpoint.paths(run / "checkpoints")) > 0, training)
    workers = children(training.pid)
    assert len(workers) == 2
    os.kill(workers[-1], signal.SIGKILL)
    code, output = ended(training)
    assert code != 0
    # the message of the other process, or that of torchrun if it ends that process first
    assert "another process of this training has ended" in output or "SIGKILL" in output
    assert output.count("training VAE on digits") == 1
    stored = checkpoint.read_newest(run / "checkpoints")[0]
    step = stored.facts["step"] + 4
    code, output = ended(start("resume", str(run), "--for", str(step), alone=True))  # a different number of processes
    assert code == 0, output
    assert "in 2 micro-batches" in output
    steps = [line["step"] for line in Run.open(run).reports.read() if line["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == step


@pytest.mark.slow
def test_stopping_torchrun_saves_and_two_processes_go_on_to_the_bits_of_an_undisturbed_run(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    words = ["train", "vae", *DIGITS, "--checkpoint-every", "100000", "--for", "300", "--snapshots", "1", "--log-every", "5"]
    assert ended(start(*words, "--out", str(straight)))[0] == 0
    training = start(*words, "--out", str(stopped))
    wait_for(lambda: len(Run(stopped).reports.read()) > 2, training)
    training.send_signal(signal.SIGTERM)
    ended(training)
    reached = checkpoint.read_newest(stopped / "checkpoints")[0].facts["step"]
    assert 0 < reached < 300
    assert ended(start("resume", str(stopped)))[0] == 0
    assert_same_weights(straight, stopped)


def assert_same_weights(one: Path, other: Path) -> None:
    for group, tensors in checkpoint.read_newest(one / "checkpoints")[0].tensors.items():
        again = checkpoint.read_newest(other / "checkpoints")[0].tensors[group]
        assert all(torch.equal(tensor, again[name]) for name, tensor in tensors.items())


def wait_for(condition, process: "subprocess.Popen[str]", seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- one process


def test_micro_batches_are_shared_evenly_or_refused() -> None:
    assert ALONE.micro_batches(1, 7) == range(1)
    assert ALONE.micro_batches(4, 8) == range(4)
    assert [Processes(rank, 2).micro_batches(1, 8) for rank in (0, 1)] == [range(1), range(1, 2)]
    assert [Processes(rank, 2).micro_batches(6, 12) for rank in (0, 1)] == [range(3), range(3, 6)]
    for processes, accumulate, batch in ((Processes(0, 2), 3, 12), (Processes(0, 2), 1, 7), (Processes(0, 4), 2, 8)):
        with pytest.raises(UsageError, match=f"a batch of {batch} .* by {processes.count} processes"):
            processes.micro_batches(accumulate, batch)


def test_one_process_exchanges_nothing() -> None:
    values = torch.tensor([0.1, 2.0])
    assert torch.equal(ALONE.mean(values), values.double())
    ALONE.average([values])
    assert values.tolist() == torch.tensor([0.1, 2.0]).tolist()
    assert ALONE.highest(3.0, 1.0) == [3.0, 1.0]
    assert ALONE.lead(lambda: 5) == 5


def test_a_lost_process_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", gone)
    with pytest.raises(Abandoned, match="another process of this training has ended"):
        Processes(0, 2).mean(torch.zeros(1))


def test_the_place_among_processes_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == Launch(0, 1, 0)
    monkeypatch.setenv("RANK", "3")
    assert launched().first, "a rank without a world is not torchrun's"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launched() == Launch(3, 4, 1)
    assert not launched().first


def test_sharding_needs_several_processes() -> None:
    with pytest.raises(UsageError, match="start it with torchrun"):
        joint_training.trainer(SimultaneousGame, shard=True)
