"""The learning rate's shape against its closed form."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulacra.engine.learning_rate import factor

Schedule = Literal["constant", "cosine", "linear"]
shares = st.floats(0, 1)
schedules: st.SearchStrategy[Schedule] = st.sampled_from(["constant", "cosine", "linear"])


def test_warm_up_rises_linearly_from_zero() -> None:
    assert [factor(done, 0.2, "cosine") for done in (0.0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])


def test_cosine_is_half_at_the_middle_of_what_follows_the_warm_up() -> None:
    assert factor(0.2, 0.2, "cosine") == 1
    assert factor(0.6, 0.2, "cosine") == pytest.approx(0.5)
    assert factor(1.0, 0.2, "cosine") == pytest.approx(0, abs=1e-15)


def test_cosine_without_warm_up_equals_its_formula() -> None:
    for step in range(101):
        assert factor(step / 100, 0.0, "cosine") == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2, abs=1e-15)


def test_constant_stays_at_one_after_the_warm_up() -> None:
    assert {factor(done, 0.1, "constant") for done in (0.1, 0.5, 1.0)} == {1.0}


def test_linear_is_constant_for_half_of_the_training_and_then_falls_along_a_line_to_zero() -> None:
    # Zhu et al. 2017: 100 epochs at the peak, then to zero over the next 100
    for epoch in range(201):
        assert factor(epoch / 200, 0.0, "linear") == pytest.approx(1.0 if epoch <= 100 else (200 - epoch) / 100, abs=1e-12)


def test_training_that_is_all_warm_up_reaches_the_peak_at_its_end() -> None:
    assert factor(0.5, 1.0, "cosine") == 0.5
    assert factor(1.0, 1.0, "cosine") == 1.0


@given(shares, shares, schedules)
def test_the_factor_stays_between_zero_and_one(done: float, warmup: float, schedule: Schedule) -> None:
    assert 0 <= factor(done, warmup, schedule) <= 1


@given(shares, shares, st.floats(0, 0.9), schedules)
def test_the_factor_rises_until_the_warm_up_ends_and_never_after(
    first: float, second: float, warmup: float, schedule: Schedule
) -> None:
    first, second = sorted((first, second))
    rising = second <= warmup
    early, late = factor(first, warmup, schedule), factor(second, warmup, schedule)
    if rising:
        assert early <= late + 1e-12
    elif first >= warmup:
        assert early >= late - 1e-12


@given(st.floats(0.01, 0.9), schedules)
def test_the_factor_is_continuous_where_the_warm_up_ends(warmup: float, schedule: Schedule) -> None:
    assert factor(warmup - 1e-9, warmup, schedule) == pytest.approx(factor(warmup + 1e-9, warmup, schedule), abs=1e-6)
