"""Class histograms of generated images, and label agreement."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.agreement.label_agreement import label_agreement
from simulacra.metrics.statistics.class_shares import class_kl, modes_covered


def labels(*counts: int) -> torch.Tensor:
    """Return labels with these numbers of each class."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def test_kl_of_two_coins_is_the_formula() -> None:
    found = class_kl(labels(30, 70), labels(50, 50), 2)
    assert found.value == pytest.approx(0.3 * math.log(0.3 / 0.5) + 0.7 * math.log(0.7 / 0.5))
    assert found.protocol["expected_for_equal_distributions"] == pytest.approx(0.5 * (1 / 100 + 1 / 100))


def test_kl_is_finite_for_a_missing_class_and_the_logarithm_of_the_classes_for_a_collapse() -> None:
    assert class_kl(labels(*[100] * 9, 0), labels(*[100] * 10), 10).value == pytest.approx(math.log(10 / 9))
    assert class_kl(labels(1000, *[0] * 9), labels(*[100] * 10), 10).value == pytest.approx(math.log(10))


@given(st.lists(st.integers(5, 50), min_size=3, max_size=3), st.lists(st.integers(5, 50), min_size=3, max_size=3))
def test_kl_is_never_negative_and_zero_for_equal_shares(generated: list[int], real: list[int]) -> None:
    generated, real = [10 * count for count in generated], [10 * count for count in real]
    assert class_kl(labels(*generated), labels(*real), 3).value >= 0
    assert class_kl(labels(*(3 * count for count in real)), labels(*real), 3).value == pytest.approx(0, abs=1e-12)


def test_a_mode_is_covered_from_a_tenth_of_its_real_share_on() -> None:
    found = modes_covered(labels(490, 490, 9, 11, 0), labels(*[100] * 3, 50, 50), 5)
    # shares of 0.49, 0.49, 0.009, 0.011, 0 against tenths of 0.025, 0.025, 0.025, 0.0125, 0.0125
    assert found.value == 2
    assert found.protocol["with_any"] == 4
    assert found.protocol["of"] == 5
    assert found.standard_error is None
    assert modes_covered(labels(100, 100, 100), labels(50, 50, 50), 3).value == 3


def test_too_few_images_are_refused_or_flagged_and_classes_without_real_images_named() -> None:
    with pytest.raises(UsageError, match=r"99 .* 100"):
        class_kl(torch.zeros(99, dtype=torch.long), labels(*[50] * 10), 10)
    with pytest.raises(DataError, match="class 1 "):
        class_kl(labels(50, 50, 50), labels(50, 0, 50), 3)
    with pytest.raises(DataError, match="from 0 to 3"):
        class_kl(labels(50, 50, 50, 1), labels(50, 50, 50), 3)
    assert "few_samples" in class_kl(labels(50, 50), labels(50, 50), 2).protocol
    assert "few_samples" not in class_kl(labels(500, 500), labels(500, 500), 2).protocol


def test_agreement_is_the_share_of_equal_classes_with_an_interval_that_is_never_a_point() -> None:
    requested = labels(50, 50)
    predicted = requested.clone()
    predicted[:5] = 1
    found = label_agreement(requested, predicted, 2)
    assert found.value == pytest.approx(0.95)
    assert found.protocol["lowest_class"] == pytest.approx(0.9)
    perfect = label_agreement(requested.numpy(), requested.numpy().astype(np.int32), 2)
    assert perfect.value == 1
    low, high = perfect.table()["interval"]
    assert (low, high) == (pytest.approx(0.963, abs=1e-3), 1.0)


def test_label_agreement_refuses_invalid_labels() -> None:
    with pytest.raises(UsageError, match=r"3 .* 2 "):
        label_agreement(torch.zeros(3, dtype=torch.long), torch.zeros(2, dtype=torch.long), 2)
    with pytest.raises(UsageError, match="0 generated images"):
        label_agreement(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 2)
    with pytest.raises(DataError, match="float"):
        label_agreement(torch.zeros(3), torch.zeros(3), 2)
