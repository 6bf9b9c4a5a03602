"""The progress line of a training: losses first and early, nothing of an untrained model; and the status that `watch` reads."""

import json

from tests.engine.test_training_time import timed
from tests.training.test_resume import RECIPE

from simulacra.interfaces.cli import main
from simulacra.runs.settings import resolve
from simulacra.training.progress_line import ProgressLine
from simulacra.training.train import train


class Shown:
    """A meter that keeps what it displays."""

    def __init__(self):
        self.facts = []

    def advance(self, amount=1, **facts):
        self.facts.append(facts)


def playing(trainer, line, steps):
    trainer.time.start()
    for _ in range(steps):
        trainer.play()
        trainer.time.seconds = trainer.time.now()
        line.show_recent(trainer)


def test_losses_are_displayed_from_the_first_step_on_and_once_a_second():
    trainer, _ = timed(0.4, duration="100")
    line = ProgressLine(shown := Shown())
    playing(trainer, line, 10)
    assert len(shown.facts) == 4  # at 0.4, 1.6, 2.8 and 4 s
    assert list(shown.facts[0]) == [
        "encoder/loss",
        "decoder/loss",
        "discriminator/loss",
        "encoder/error",
        "decoder/error",
        "images",
    ]
    assert shown.facts[0]["images"] == "20/s"


def test_validation_and_diversity_follow_the_losses_and_those_of_the_untrained_model_are_not_displayed():
    trainer, _ = timed(0.4, duration="100")
    line = ProgressLine(shown := Shown())
    record = {"a/loss": 0.25, "a/mse": 0.2, "diversity": 0.123}
    line.show_validation(trainer, record)
    assert shown.facts == []
    playing(trainer, line, 1)
    line.show_validation(trainer, record)
    assert list(shown.facts[-1])[3:5] == ["validation", "diversity"]
    assert (shown.facts[-1]["validation"], shown.facts[-1]["diversity"]) == ("0.25", "0.12")
    line.show_validation(trainer, {"a/loss": 1.0, "b/loss": 2.0})  # losses of competing players measure no progress
    assert "validation" not in shown.facts[-1]


def test_watch_has_the_step_of_a_run_without_reports(tmp_path, capsys):
    path = train(resolve(RECIPE, {"duration": "5", "log_every": 50}), tmp_path / "run").run.path
    steps = []
    for _ in range(2):
        assert main(["watch", str(path), "--json"]) == 0
        steps.append(json.loads(capsys.readouterr().out)["step"])
        (path / "reports.jsonl").unlink(missing_ok=True)
    assert steps == [5, 5]
