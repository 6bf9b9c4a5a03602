"""The expected duration of an evaluation, from measurements that take known times."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from simulacra.core.errors import DataError
from simulacra.evaluation import expected_time


class Clock:
    """CPU time and real time that pass only when told; real time passes twice as fast."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.process_time", lambda: self.now)
        monkeypatch.setattr("time.perf_counter", lambda: 2 * self.now)

    def work(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("fixed", "each", "images"), [(0.05, 0.001, 10_000), (0.0, 2.0, 300), (0.2, 0.0, 5000), (0.0, 1e-6, 297), (0.5, 0.5, 3)]
)
def test_durations_are_extrapolated_from_their_growth_with_the_images(clock, fixed, each, images):
    watch = expected_time._Stopwatch()
    found = expected_time._extrapolated(lambda size: clock.work(fixed + each * size), images, watch)
    whole = fixed + each * images
    assert found == pytest.approx(whole)
    assert watch.load == pytest.approx(2)
    assert clock.now < 0.5 * whole + 1 or images <= 4  # the measurements take a part of the whole


def test_nothing_is_expected_of_no_images_and_of_a_metric_that_cannot_be_measured(clock):
    def refuse(size):
        clock.work(1)
        raise DataError("too few")

    watch = expected_time._Stopwatch()
    assert expected_time._extrapolated(lambda size: clock.work(1), 0, watch) == 0
    assert expected_time._extrapolated(refuse, 100, watch) == 0
    assert watch.load == 1


@pytest.mark.parametrize("steps", [1, 3, 100, 10_000])
def test_a_metric_that_is_stopped_by_its_meter_takes_the_time_of_all_its_steps(clock, steps):
    def measure(context):
        clock.work(0.7)
        with context.progress.task("steps", steps, "steps") as meter:
            for _ in range(steps):
                clock.work(0.01)
                meter.advance()

    metric, pilot = cast(Any, SimpleNamespace(measure=measure)), cast(Any, SimpleNamespace(progress=None))
    assert expected_time._by_meter(metric, pilot, expected_time._Stopwatch()) == pytest.approx(0.7 + 0.01 * steps)
    assert clock.now < 0.9
