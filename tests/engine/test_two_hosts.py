"""Training on two hosts, of which one is lost: two network namespaces, joined by a pair of virtual interfaces.

The hosts share all files. Namespaces need root, Linux and iproute2; the tests are skipped elsewhere.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engine.test_processes import DIGITS, assert_same_weights, ended, start

from simulacra.engine import checkpoint
from simulacra.runs.run import Run

STEPS = 400
PORT = 29_500  # of the first host, whose ports are its own
REPORTED = 60  # seconds within which the loss of a host is reported, most of which the interpreters take to end
SILENT = 150  # seconds within which that of a host that does not answer any more is reported: see process_group.py
LOST = (
    "another process of this training has ended, so this one ends too: continue from the last checkpoint with 'simulacra resume'"
)
WORDS = [*DIGITS, "--for", str(STEPS), "--checkpoint-every", "20", "--log-every", "100", "--snapshots", "1"]


@dataclass(frozen=True)
class Host:
    """A network namespace with one interface; `rank` is that of its only process."""

    rank: int

    @property
    def namespace(self) -> str:
        return f"simulacra-{os.getpid()}-{self.rank}"

    @property
    def interface(self) -> str:
        return f"sv{os.getpid()}-{self.rank}"  # at most 15 characters

    @property
    def address(self) -> str:
        return f"10.77.0.{1 + self.rank}"

    def start(self, out: Path, *words: str) -> "subprocess.Popen[bytes]":
        """Start a command of the toolkit with torchrun; its output is in a file."""
        torchrun = ["--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(self.rank)]
        torchrun += ["--master-addr", Host(0).address, "--master-port", str(PORT)]
        command = ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "torch.distributed.run", *torchrun]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": self.interface}
        with out.open("wb") as file:
            return subprocess.Popen([*command, "-m", "simulacra", *words], env=environment, stdout=file, stderr=subprocess.STDOUT)

    def disconnect(self) -> None:
        """Take the network away, as if the host had lost its power."""
        ip("-n", self.namespace, "link", "set", self.interface, "down")

    def connect(self) -> None:
        """Bring the network back."""
        ip("-n", self.namespace, "link", "set", self.interface, "up")

    def kill(self) -> None:
        """Kill all processes at once."""
        found = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)


HOSTS = (Host(0), Host(1))


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"network namespaces cannot be used here: ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other and nothing else."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux, root and iproute2")
    try:
        for host in HOSTS:
            ip("netns", "add", host.namespace)
        first, second = HOSTS
        joined = ("type", "veth", "peer", "name", second.interface, "netns", second.namespace)
        ip("link", "add", first.interface, "netns", first.namespace, *joined)
        for host in HOSTS:
            ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", host.interface)
            for interface in (host.interface, "lo"):
                ip("-n", host.namespace, "link", "set", interface, "up")
        yield HOSTS
    finally:
        for host in HOSTS:
            host.kill()
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)


@pytest.fixture(scope="module")
def straight(hosts: tuple[Host, Host], tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """An uninterrupted training in two processes on one host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        run = tmp_path_factory.mktemp("straight") / "run"
        code, output = ended(start("train", "vae", *WORDS, "--out", str(run)))
    assert code == 0, output
    return run


@pytest.mark.long
@pytest.mark.parametrize("lost", [0, 1], ids=["of-the-first-process", "of-the-second-process"])
def test_a_lost_host_is_reported_by_the_other_and_both_resume_to_the_bits_of_one_host(
    hosts: tuple[Host, Host], straight: Path, tmp_path: Path, lost: int
) -> None:
    run = tmp_path / "run"
    processes = started(hosts, tmp_path, "train", "vae", *WORDS, "--out", str(run))
    wait_for_checkpoint(run, processes, tmp_path)
    hosts[lost].kill()
    assert processes[lost].wait(REPORTED) == -signal.SIGKILL
    assert_reported(processes[1 - lost].wait(REPORTED), output_of(tmp_path, 1 - lost))
    step = checkpoint.read_newest(run / "checkpoints")[0].facts["step"]
    assert 0 < step < STEPS, "the training ended before the host was lost"
    for process in started(hosts, tmp_path, "resume", str(run)):
        assert process.wait(120) == 0, output_of(tmp_path, 0) + output_of(tmp_path, 1)
    assert Run.open(run).provenance["finished"]
    assert_same_weights(straight, run)


@pytest.mark.slow
def test_a_host_that_does_not_answer_any_more_is_reported(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    run = tmp_path / "run"
    processes = started(
        hosts, tmp_path, "train", "vae", *DIGITS, "--for", "100000", "--checkpoint-every", "20", "--out", str(run)
    )
    wait_for_checkpoint(run, processes, tmp_path)
    hosts[1].disconnect()
    try:
        assert_reported(processes[0].wait(SILENT), output_of(tmp_path, 0))
    finally:
        for host, process in zip(hosts, processes, strict=True):
            host.kill()
            process.wait()
        hosts[1].connect()


def assert_reported(code: int, output: str) -> None:
    assert code != 0
    assert output.count(LOST) == 1, output
    assert "Traceback" not in output.partition("torch/distributed/elastic")[0], "torchrun alone prints where it failed"


def started(hosts: Sequence[Host], folder: Path, *words: str) -> list["subprocess.Popen[bytes]"]:
    return [host.start(folder / f"output-{host.rank}", *words) for host in hosts]


def output_of(folder: Path, rank: int) -> str:
    return (folder / f"output-{rank}").read_text()


def wait_for_checkpoint(run: Path, processes: Sequence["subprocess.Popen[bytes]"], folder: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not checkpoint.paths(run / "checkpoints"):
        assert all(process.poll() is None for process in processes), output_of(folder, 0) + output_of(folder, 1)
        assert time.monotonic() < deadline, "there is no checkpoint yet"
        time.sleep(0.02)
