"""Play a run to its end from wherever it stands: `python -m tests.newcomers FAMILY RUN`. The kill tests end it at any moment."""

import sys
from pathlib import Path

from simulacra import families
from simulacra.runs.settings import resolve
from simulacra.tasks.train import resume, train

STEPS = 400
TRAINING = {
    "duration": str(STEPS),
    "batch": 32,
    "snapshots": 4,
    "threads": 1,
    "log_every": 7,
    "checkpoint_every": "10",
    "keep": 2,
}
MODELS = {"vae": {"features": (4, 8), "hidden": (16,), "latents": 3}, "duel": {}}


def play(family: str, out: Path) -> None:
    """Train, or continue what an earlier process left."""
    families.__path__.append(str(Path(__file__).parent))
    if (out / "config.toml").exists():
        resume(out)
    else:
        train(resolve({"family": family, "model": MODELS[family], "train": TRAINING}, {}), out)


if __name__ == "__main__":
    play(sys.argv[1], Path(sys.argv[2]))
