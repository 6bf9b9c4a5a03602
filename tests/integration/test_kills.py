"""`kill -9` at random moments, again and again: the run that survives them is the undisturbed one, bit for bit."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.example_family.__main__ import LOG_EVERY, SNAPSHOTS, STEPS
from tests.training.test_resume import assert_same_run, losses, weights

KILLS = int(os.environ.get("SIMULACRA_KILLS", "20"))
ROOT = Path(__file__).parents[2]
FOREVER = 300.0


class Player:
    """A process that forks one for every attempt to play a run, and kills it in time."""

    def __init__(self, family, errors):
        self.errors = errors
        command = [sys.executable, "-m", "tests.example_family", family]
        with errors.open("w") as said:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, bufsize=1
            )

    def is_killed(self, out, seconds):
        """Play for so many seconds; return whether that was too short to come to the end."""
        print(f"{seconds} {out}", file=self.process.stdin)
        assert self.process.stdout is not None
        ended = self.process.stdout.readline().strip()
        assert ended in ("0", "killed"), self.errors.read_text()
        return ended == "killed"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.communicate(timeout=60)


def steps(run, kind):
    return [record["step"] for record in losses(run) if record["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "duel"])
def test_a_run_killed_at_random_moments_ends_as_the_undisturbed_one(family, tmp_path):
    straight = tmp_path / "straight"
    moments = random.Random(0)
    kills = rounds = 0
    with Player(family, tmp_path / "errors") as player:
        assert not player.is_killed(tmp_path / "first", FOREVER)  # prepares the data, so that the next can be timed
        began = time.monotonic()
        assert not player.is_killed(straight, FOREVER)
        whole = time.monotonic() - began
        assert {name.split("/")[0] for name in weights(straight)} == {"model", "ema", "optimizers"}
        while kills < KILLS:
            out = tmp_path / f"killed-{rounds}"
            rounds += 1
            while player.is_killed(out, moments.uniform(0, 0.9 * whole) if kills < KILLS else FOREVER):
                kills += 1
            assert_same_run(straight, out)
            assert steps(out, "train") == [*range(LOG_EVERY, STEPS, LOG_EVERY), STEPS]
            assert steps(out, "validation") == list(range(0, STEPS + 1, STEPS // SNAPSHOTS))
            left = [path for path in out.rglob(".*") if path.name != ".lock"]
            assert not left, "a resume removes what a kill left half-written"
    assert kills == KILLS
