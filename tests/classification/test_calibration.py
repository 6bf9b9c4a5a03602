"""Temperature scaling and the expected calibration error against closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.classification.calibration import calibration_error, fit_temperature, mean_nll


def test_the_calibration_error_of_a_worked_example():
    # bin (0.5, 0.6]: confidences 0.6, 0.6, one of two right: gap 0.1; bin (0.8, 0.9]: 0.9, right: gap 0.1
    probabilities = torch.tensor([[0.6, 0.4], [0.4, 0.6], [0.9, 0.1]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0])
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx(2 / 3 * 0.1 + 1 / 3 * 0.1, abs=1e-12)


def test_certain_predictions_have_the_share_of_errors_as_their_calibration_error():
    probabilities = torch.eye(4, dtype=torch.float64)[torch.zeros(8, dtype=torch.int64)]
    assert calibration_error(probabilities, torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])) == pytest.approx(0.25)


def test_errors_of_one_bin_cancel_and_those_of_two_do_not():
    probabilities = torch.tensor([[0.7, 0.3]] * 10, dtype=torch.float64)
    labels = torch.tensor([0] * 7 + [1] * 3)
    assert calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-12)
    apart = torch.tensor([[0.9, 0.1], [0.6, 0.4]], dtype=torch.float64)
    assert calibration_error(apart, torch.tensor([1, 0])) == pytest.approx((0.9 + 0.4) / 2)


def test_the_temperature_of_two_classes_has_a_closed_form():
    # logits (0, z), share s of class 1: the optimum has sigmoid(z / T) = s
    share, score = 0.8, 5.0
    logits = torch.tensor([[0.0, score]] * 10)
    labels = torch.tensor([1] * 8 + [0] * 2)
    assert fit_temperature(logits, labels) == pytest.approx(score / math.log(share / (1 - share)), rel=1e-9)


@pytest.mark.long
def test_a_planted_temperature_is_recovered():
    # labels drawn from softmax(z / 3); 200,000 images: the standard error of T is about 0.012
    draw = torch.Generator().manual_seed(0)
    logits = 6 * torch.randn(200_000, 5, generator=draw, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(logits / 3, 1), 1, generator=draw)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(3, abs=0.06)


@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_no_other_temperature_has_a_lower_nll(seed, other):
    draw = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(50, 3, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, 3, (50,), generator=draw)
    temperature = fit_temperature(logits, labels)
    assert mean_nll(logits, labels, temperature) <= mean_nll(logits, labels, other) + 1e-12


def test_without_images_the_temperature_is_one():
    assert fit_temperature(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)) == 1


def test_the_temperature_of_perfect_predictions_is_bounded():
    logits = 5 * torch.eye(3)
    assert 1e-3 <= fit_temperature(logits, torch.arange(3)) < 0.2
    assert fit_temperature(-logits, torch.arange(3)) == pytest.approx(1e3, rel=1e-6)
