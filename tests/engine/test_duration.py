"""Durations: what a person writes, and how many steps it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.errors import UsageError
from simulacra.engine.duration import Duration
from simulacra.engine.settings import TrainConfig


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("3000", 3000, "steps"),
        ("1 step", 1, "steps"),
        ("20ep", 20, "epochs"),
        ("0.5 epochs", 0.5, "epochs"),
        ("64images", 64, "images"),
        ("500k", 500_000, "images"),
        ("1.5Mimg", 1_500_000, "images"),
        ("90s", 90, "seconds"),
        (" 10min ", 600, "seconds"),
        ("2h", 7200, "seconds"),
    ],
)
def test_every_unit_is_read(text: str, amount: float, unit: str) -> None:
    assert Duration.parse(text) == Duration(amount, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "ep", "-3", "3 fortnights", "1e3", "3,000", "20 ep 3", "nan", "inf"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected a number with a unit, such as 20ep"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["5m", "1.5 M"])
def test_a_letter_with_two_meanings_is_refused_with_both(text: str) -> None:
    with pytest.raises(UsageError, match=r"ambiguous: write [\d.]+min for minutes, or [\d.]+mimg"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0", "0ep", "0k", "0s", "0.0min"])
def test_a_training_that_lasts_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        TrainConfig(duration=text)


@given(steps=st.integers(1, 10**6), batch=st.integers(1, 512), per_epoch=st.integers(1, 500), per_step=st.integers(1, 6))
def test_steps_are_steps_whatever_the_batch(steps: int, batch: int, per_epoch: int, per_step: int) -> None:
    assert Duration(steps, "steps").steps(batch, per_epoch, per_step) == steps


def test_an_epoch_is_one_pass_over_the_batches_and_a_step_may_take_several() -> None:
    assert Duration(20, "epochs").steps(128, 430, 1) == 8600
    assert Duration(20, "epochs").steps(128, 430, 2) == 4300


def test_images_are_counted_over_all_turns_of_a_step() -> None:
    assert Duration.parse("500k").steps(100, 7, 1) == 5000
    assert Duration.parse("600k").steps(100, 7, 6) == 1000


def test_anything_lasts_at_least_one_step() -> None:
    assert Duration(1, "images").steps(128, 430, 1) == 1
    assert Duration(0.001, "epochs").steps(128, 430, 1) == 1


def test_time_has_no_number_of_steps() -> None:
    assert Duration.parse("10min").steps(128, 430, 1) is None
