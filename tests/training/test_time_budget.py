"""A training for a time with snapshots of any cost: it ends in time, at least 80 % of it are steps, and snapshots shrink."""

from typing import Any

import pytest
from tests.engine.test_training_time import Clock
from tests.recording import Listener

from simulacra.engine import loop
from simulacra.engine.training_time import TrainingTime
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve
from simulacra.training.snapshot_size import SnapshotBudget, SnapshotSize
from simulacra.training.snapshots import Snapshots
from simulacra.training.train import resume, train

RECIPE: dict[str, Any] = {
    "family": "vae",
    "data": {"data": "digits"},
    "model": {"network": "dense", "hidden": (4,), "latent_dim": 2},
    "train": {"batch": 8, "threads": 1, "device": "cpu", "log_every": 500},
}
FULL = SnapshotSize(64, 1000, 64)


@pytest.fixture
def run_for(monkeypatch, tmp_path):
    """Return a function that trains for a time with steps, network evaluations and checkpoints of given seconds."""

    def trained(amount, step, evaluation, *, checkpoint=0.0, misjudged=1.0, sampling=20):
        clock, listener = Clock(), Listener()
        play, take, write = loop.Trainer.play, Snapshots.take, Run.write_checkpoint
        spent = {"steps": 0.0}

        def slow_play(trainer):
            play(trainer)
            clock.seconds += step
            spent["steps"] += step

        def slow_take(snapshots, trainer, size):
            clock.seconds += evaluation * size.evaluations(sampling)
            return take(snapshots, trainer, size)

        def slow_write(*arguments):
            clock.seconds += checkpoint
            write(*arguments)

        monkeypatch.setattr(loop, "TrainingTime", lambda: TrainingTime(clock))
        monkeypatch.setattr(loop.Trainer, "play", slow_play)
        monkeypatch.setattr(Snapshots, "take", slow_take)
        monkeypatch.setattr(Snapshots, "sampling", lambda snapshots, family: sampling)
        monkeypatch.setattr(Snapshots, "seconds_per_image", lambda snapshots, trainer, enough: misjudged * evaluation)
        monkeypatch.setattr(Run, "write_checkpoint", slow_write)
        outcome = train(resolve(RECIPE, {"duration": f"{amount}s"}), tmp_path / "run", progress=listener)
        return outcome, clock.seconds, spent["steps"] / clock.seconds, listener.said

    return trained


@pytest.mark.parametrize(
    ("amount", "step", "evaluation", "options"),
    [
        (60, 3.0, 0.1, {}),  # 40 grey images of 128x128, diffusion: one full snapshot takes 370 s
        (100, 1.5, 0.02, {"misjudged": 0.5}),
        (100, 0.5, 1e-3, {"misjudged": 3.0}),
        (100, 0.3, 1e-5, {}),
        (100, 2.0, 0.2, {"checkpoint": 4.0}),
        (20, 0.2, 0.5, {}),
        (300, 4.0, 0.01, {"sampling": 1}),
    ],
)
def test_it_ends_within_five_seconds_or_percent_and_four_fifths_of_it_are_steps(run_for, amount, step, evaluation, options):
    outcome, seconds, share, said = run_for(amount, step, evaluation, **options)
    assert outcome.finished
    assert outcome.step > 1
    assert abs(seconds - amount) <= max(5, 0.05 * amount)
    assert share >= 0.8
    (plan,) = [line for line in said if line.startswith("plan: ")]
    planned = int(plan.split("about ")[1].split(" steps")[0].replace(",", ""))
    assert planned == pytest.approx(outcome.step, rel=0.1, abs=2)
    assert ("too few steps" in plan) == (planned < 200)


@pytest.mark.long
def test_cheap_snapshots_are_all_taken_in_full(run_for):
    outcome, _, _, said = run_for(100, 0.3, 1e-5)
    assert len(list(outcome.run.samples.glob("*.png"))) == 11
    assert "with 10 snapshots" in next(line for line in said if line.startswith("plan"))


def test_snapshots_without_any_that_is_affordable_are_left_out_and_this_is_said(run_for):
    outcome, seconds, _, said = run_for(20, 0.2, 5.0)
    assert list(outcome.run.samples.glob("*.png")) == []
    assert abs(seconds - 20) <= 1
    assert "no snapshots" in next(line for line in said if line.startswith("plan"))


def test_a_finished_run_stays_finished(run_for):
    outcome, *_ = run_for(30, 0.5, 0.01)
    again = resume(outcome.run.path)
    assert (again.finished, again.step) == (True, outcome.step)


def test_sizes_halve_down_to_none_and_diversity_needs_thirty_two_images():
    sizes = list(FULL.smaller())
    assert [size.pictures for size in sizes] == [64, 32, 16, 8, 4, 2, 1, 0]
    assert [size.compared for size in sizes][:4] == [64, 32, 0, 0]
    assert sizes[-1] == SnapshotSize(0, 8, 0)


def test_four_snapshots_of_a_row_are_preferred_to_one_of_more_images():
    def size(evaluation):
        return SnapshotBudget(FULL, 20, 10, 100.0, evaluation).size

    assert size(1e-4) == FULL
    assert size(8e-4).pictures == 32
    assert size(3e-3).pictures == 16
    assert size(6e-3).pictures == 8
    assert size(0.02).pictures == 8  # not four times, but at the end
    assert size(0.1).pictures == 2
    assert size(10) is None


def test_the_time_of_the_last_snapshot_is_kept_for_it_and_the_others_are_evenly_spaced():
    budget = SnapshotBudget(FULL, 20, 10, 100.0, 10 / 4.5 / FULL.evaluations(20))  # 4.5 fit
    spent, taken = 0.0, []
    for due in range(11):
        if budget.next(spent, due / 10):
            taken.append(due)
            spent += budget.seconds
    assert taken[-1] == 10
    assert len(taken) == 4
    assert spent <= 10
