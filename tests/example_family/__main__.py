"""Train and kill: `python -m tests.example_family FAMILY`, then lines `SECONDS RUN` on standard input.

For each line, a forked process starts or resumes the training of the run and is killed (`kill -9`) after so many seconds. The
output is a line: `killed`, or the exit code. Forking avoids repeated imports.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from simulacra import families
from simulacra.runs.settings import resolve
from simulacra.training.train import resume, train

STEPS, LOG_EVERY, SNAPSHOTS = 120, 7, 4
TRAINING = {
    "duration": str(STEPS),
    "batch": 32,
    "snapshots": SNAPSHOTS,
    "threads": 1,
    "log_every": LOG_EVERY,
    "checkpoint_every": "8",
    "keep": 2,
}
MODELS = {"vae": {"features": (4, 8), "hidden": (16,), "latent_dim": 3}, "duel": {}}


def start_or_resume(family: str, out: Path) -> None:
    """Train, or resume the training of an earlier process."""
    if (out / "config.toml").exists():
        resume(out)
    else:
        train(resolve({"family": family, "model": MODELS[family], "train": TRAINING}, {}), out)


def train_for(family: str, out: Path, seconds: float) -> str:
    """Train in a new process, killed after so many seconds; return `killed` or the exit code."""
    child = os.fork()
    if not child:
        code = 1
        try:
            start_or_resume(family, out)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "killed" if code == -signal.SIGKILL else str(code)


def serve(family: str) -> None:
    """Train for every line of standard input."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # imports of the first optimizer take long
    families.__path__.append(str(Path(__file__).parent))
    for line in sys.stdin:
        seconds, out = line.rstrip("\n").split(" ", 1)
        sys.stdout.write(train_for(family, Path(out), float(seconds)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
