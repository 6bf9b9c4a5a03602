"""Durations in time, by a clock that only steps, snapshots and checkpoints advance."""

import pytest
from tests.engine.test_games import RecordingObserver, trainer_of
from tests.engine.toy_games import SimultaneousGame

from simulacra.engine.loop import Observer
from simulacra.engine.training_time import TrainingTime


class Clock:
    """A clock that stands still until it is advanced."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Costly(RecordingObserver):
    """An observer whose snapshots and checkpoints take time; it expects as much at the end."""

    def __init__(self, clock, snapshot, checkpoint):
        super().__init__()
        self.clock, self.snapshot, self.checkpoint = clock, snapshot, checkpoint
        self.ending_seconds = snapshot + checkpoint

    def on_snapshot(self, trainer):
        super().on_snapshot(trainer)
        self.clock.seconds += self.snapshot

    def on_checkpoint(self, trainer, state):
        super().on_checkpoint(trainer, state)
        self.clock.seconds += self.checkpoint


def timed(step, **settings):
    """Return a trainer whose steps take so many seconds, and its clock."""
    trainer, clock = trainer_of(SimultaneousGame, **settings), Clock()
    trainer.time.clock = clock
    play = trainer.play

    def slow_play():
        play()
        clock.seconds += step

    trainer.play = slow_play
    return trainer, clock


@pytest.mark.parametrize(
    ("amount", "step", "snapshot", "checkpoint"),
    [(100, 0.5, 0.0, 0.0), (100, 0.5, 2.0, 1.0), (100, 3.0, 0.5, 4.0), (20, 0.1, 0.2, 0.1), (60, 11.0, 1.0, 1.0)],
)
def test_a_training_for_a_time_ends_within_half_a_step_of_it(amount, step, snapshot, checkpoint):
    trainer, clock = timed(step, duration=f"{amount}s", snapshots=3)
    observer = Costly(clock, snapshot, checkpoint)
    assert trainer.run(observer)
    assert abs(clock.seconds - amount) <= step / 2 + 0.01
    assert trainer.time.step == pytest.approx(step)
    assert trainer.time.observed == pytest.approx(4 * snapshot + checkpoint)
    assert observer.snapshots == 4
    assert trainer.done == 1


def test_a_finished_training_for_a_time_is_finished_after_a_resume_and_a_longer_one_continues():
    trainer, clock = timed(0.5, duration="20s")
    trainer.run(Costly(clock, 1.0, 1.0))
    resumed, again = timed(0.5, duration="20s")
    resumed.restore(trainer.state())
    assert resumed.run(Costly(again, 1.0, 1.0))
    assert (resumed.step, resumed.done) == (trainer.step, 1)
    longer, clock = timed(0.5, duration="30s")
    longer.restore(trainer.state())
    assert longer.run(Costly(clock, 1.0, 0.0))
    assert longer.seconds == pytest.approx(30, abs=0.5)


def test_a_stopped_training_for_a_time_resumes_with_the_time_that_is_left():
    whole, _ = timed(0.5, duration="20s")
    whole.run(Observer())
    stopped, clock = timed(0.5, duration="20s")
    assert not stopped.run(Observer(), lambda: clock.seconds >= 7)
    resumed, clock = timed(0.5, duration="20s")
    resumed.restore(stopped.state())
    assert resumed.run(Observer())
    assert (resumed.step, clock.seconds) == (whole.step, 13)


def test_a_first_snapshot_longer_than_the_whole_time_leaves_one_step_and_never_none():
    trainer, clock = timed(0.5, duration="10s")
    observer = Costly(clock, 50.0, 0.0)
    assert trainer.run(observer)
    assert trainer.step == 1
    assert [record["step"] for record in observer.records] == [1]


def test_the_losses_of_slow_steps_are_reported_every_ten_seconds_and_at_the_end():
    trainer, clock = timed(4.0, duration="60s", log_every=50)
    observer = Costly(clock, 0.0, 0.0)
    trainer.run(observer)
    assert [record["step"] for record in observer.records] == [3, 6, 9, 12, 15]
    trainer, clock = timed(4.0, duration="15", log_every=50)  # steps: reports do not depend on the clock
    trainer.run(observer := Costly(clock, 0.0, 0.0))
    assert [record["step"] for record in observer.records] == [15]


def test_the_learning_rate_ends_near_zero_at_the_end_of_the_time_and_its_first_step_moves():
    trainer, clock = timed(0.25, duration="20s", warmup=0.1, log_every=1)
    observer = Costly(clock, 0.1, 0.0)
    trainer.run(observer)
    rates = [record["lr"] for record in observer.records]
    assert rates[0] > 0
    assert max(rates) == pytest.approx(0.01, rel=0.02)
    assert 0 < rates[-1] < 0.01 * 0.01


def test_the_time_of_a_step_leaves_out_the_first_and_follows_the_last_ones():
    time = TrainingTime(Clock())
    for step, seconds in enumerate([5.0, 6.0, 7.0, 8.0], start=1):
        time.seconds = seconds
        time.count_step(step)
    assert time.step == 1
    for step in range(5, 30):
        time.seconds += 3
        time.count_step(step)
    assert time.step == 3
