"""Measurements and feature matrices."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.statistics.feature_matrix import matrix, random_rows, same_dimensions
from simulacra.metrics.statistics.measurement import Measurement, fraction_of, wilson


def test_an_interval_takes_the_place_of_the_standard_error() -> None:
    assert Measurement(1.0, 0.5, 10).table() == {"value": 1.0, "standard_error": 0.5, "n": 10, "protocol": {}}
    assert Measurement(1.0, None, 10, {}, (0.5, 2.0)).table() == {"value": 1.0, "interval": [0.5, 2.0], "n": 10, "protocol": {}}


def test_additional_facts_do_not_replace_those_of_the_protocol() -> None:
    found = Measurement(1.0, 0.5, 10, {"seed": 3}).under({"extractor": "LeNet-128", "seed": 0})
    assert found.protocol == {"extractor": "LeNet-128", "seed": 3}
    assert found.value == 1.0


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_ends_of_the_interval_are_the_shares_that_the_found_one_is_just_compatible_with(count: int, part: float) -> None:
    # the score interval is the set of p with |share - p| <= z sqrt(p (1 - p) / n)
    share = round(part * count) / count
    for end in wilson(share, count):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / count), abs=1e-7)


def test_a_fraction_counts_its_hits() -> None:
    found = fraction_of(torch.tensor([True, True, True, False]), {})
    assert (found.value, found.n) == (0.75, 4)


def test_features_come_as_arrays_or_tensors_of_any_float() -> None:
    assert matrix(torch.zeros(2, 3, dtype=torch.bfloat16), "x").dtype == torch.float32
    assert matrix(torch.zeros(2, 3).double().numpy(), "x").dtype == torch.float64
    with pytest.raises(DataError, match=r"x: .*uint8"):
        matrix(torch.zeros(2, 3, dtype=torch.uint8), "x")
    with pytest.raises(UsageError, match=r"2 .* 3 "):
        same_dimensions(torch.zeros(4, 2), torch.zeros(4, 3))


def test_some_rows_are_different_ones_and_a_function_of_the_seed() -> None:
    rows = torch.arange(100.0)[:, None]
    chosen = random_rows(rows, 60, 0, "floor")
    assert len(chosen.unique()) == 60
    assert (random_rows(rows, 60, 0, "floor") == chosen).all()
    assert (random_rows(rows, 60, 1, "floor") != chosen).any()
    assert (random_rows(rows, 60, 0, "other") != chosen).any()
    assert (random_rows(rows, 100, 0, "floor") == rows).all()
