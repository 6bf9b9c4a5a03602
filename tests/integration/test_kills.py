"""`kill -9` at random moments, again and again: the run that survives them is the undisturbed one, bit for bit."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.test_resume import assert_same_run

KILLS = int(os.environ.get("SIMULACRA_KILLS", "20"))
ROOT = Path(__file__).parents[2]


def begin(family, out):
    command = [sys.executable, "-m", "tests.newcomers", family, str(out)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finished(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "duel"])
def test_a_run_killed_at_random_moments_ends_as_the_undisturbed_one(family, tmp_path):
    straight = tmp_path / "straight"
    began = time.monotonic()
    finished(begin(family, straight))
    whole = time.monotonic() - began
    moments = random.Random(0)
    kills = rounds = 0
    while kills < KILLS:
        out = tmp_path / f"killed-{rounds}"
        rounds += 1
        while True:
            process = begin(family, out)
            time.sleep(moments.uniform(0, 0.9 * whole))  # from the start of the interpreter on
            if process.poll() is not None or kills == KILLS:
                break
            process.kill()
            process.communicate()
            kills += 1
        finished(process)
        assert_same_run(straight, out)
    assert kills == KILLS
