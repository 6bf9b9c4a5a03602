"""A training for a time keeps to it across stops and resumes, and its reports go on without a gap or a repetition."""

import json
import os
import signal

import pytest

from simulacra.interfaces.cli import main
from simulacra.training.observer import RunObserver

LIMIT, FIRST = 1.2, 0.4  # seconds
FLAGS = "train vae --data digits --features 2 --hidden 8 --latent-dim 2 --batch 32 --threads 1 --log-every 1 --device cpu"


def stopping(patch, seconds):
    """Send this process a SIGINT at the first step after so many seconds of training."""
    original = RunObserver.on_step

    def on_step(self, trainer):
        original(self, trainer)
        if trainer.seconds >= seconds:
            os.kill(os.getpid(), signal.SIGINT)

    patch.setattr(RunObserver, "on_step", on_step)


@pytest.mark.long
def test_a_time_limit_survives_a_stop_and_a_resume(tmp_path, capsys):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        stopping(patch, FIRST)
        assert main([*FLAGS.split(), "--for", f"{LIMIT}s", "--out", str(run)]) == 1
    assert "stopped and saved at step" in capsys.readouterr().out
    facts = json.loads((run / "provenance.json").read_text())
    first, stopped_at = facts["training_seconds"], facts["step"]
    assert FIRST <= first < LIMIT

    assert main(["resume", str(run)]) == 0
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["finished"]
    assert LIMIT / 2 <= facts["training_seconds"] < LIMIT + 1.5  # the last step, pictures and checkpoint, on a busy machine
    records = [json.loads(line) for line in (run / "reports.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "train"]
    assert steps == list(range(1, facts["step"] + 1))
    assert facts["step"] > stopped_at
    seconds = [record["seconds"] for record in records if record["kind"] == "train"]
    assert seconds == sorted(seconds)
