"""Pixel likelihoods against closed forms, float64 brute force and SciPy."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simulacra.objectives.likelihood import bernoulli, bernoulli_entropy, bits_per_dimension, discretized_logistic, gaussian

LEVELS = torch.arange(256, dtype=torch.float64)[:, None] / 255  # one image of one pixel for every level

# decoders' means lie in [0, 1] and their log-scales in [-7, 7]; the functions must be correct beyond
centres = st.floats(-2, 3)
widths = st.floats(-12, 12)


def masses(mean: float, log_scale: float, dtype: torch.dtype = torch.float64) -> Tensor:
    levels = LEVELS.to(dtype)
    return discretized_logistic(torch.full_like(levels, mean), torch.full_like(levels, log_scale), levels)


def brute_force(mean: float, log_scale: float) -> np.ndarray:
    """Return log(F(upper) - F(lower)) by definition, computed in the tail in which the difference does not cancel."""
    levels = LEVELS.numpy()[:, 0]
    upper, lower = ((levels + side / 255 - mean) / math.exp(log_scale) for side in (0.5, -0.5))
    upper[-1], lower[0] = np.inf, -np.inf
    above = lower > 0  # 1 - F(x) = F(-x)
    large, small = np.where(above, -lower, upper), np.where(above, -upper, lower)
    return scipy.special.log_expit(large) + np.log1p(-np.exp(scipy.special.log_expit(small) - scipy.special.log_expit(large)))


@given(centres, widths)
def test_masses_of_all_levels_sum_to_one(mean: float, log_scale: float) -> None:
    assert masses(mean, log_scale).exp().sum().item() == pytest.approx(1, abs=1e-9)


@given(st.floats(0, 1), st.floats(-7, 7))
def test_masses_sum_to_one_in_float32_over_the_range_of_a_decoder(mean: float, log_scale: float) -> None:
    # edges of neighbouring bins differ by up to three roundings of 2^-24, stretched by 1/scale
    tolerance = 2e-5 + 3 * 2**-24 * math.exp(-log_scale)
    assert masses(mean, log_scale, torch.float32).exp().sum().item() == pytest.approx(1, abs=tolerance)


@given(centres, widths)
def test_masses_agree_with_brute_force(mean: float, log_scale: float) -> None:
    np.testing.assert_allclose(masses(mean, log_scale).numpy(), brute_force(mean, log_scale), rtol=1e-7, atol=1e-8)


@given(st.floats(0, 1, width=32), st.floats(-7, 7, width=32))
def test_float32_masses_agree_with_float64_even_in_the_tails(mean: float, log_scale: float) -> None:
    exact = brute_force(mean, log_scale)
    tolerance = 1e-5 * (1 + np.abs(exact)) + 3 * 2**-24 * math.exp(-log_scale)
    assert np.all(np.abs(masses(mean, log_scale, torch.float32).numpy() - exact) <= tolerance)


@given(centres, widths)
def test_gradients_of_the_discretized_logistic_are_finite_at_every_level(mean: float, log_scale: float) -> None:
    levels = LEVELS.float()
    means, log_scales = (torch.full_like(levels, value).requires_grad_() for value in (mean, log_scale))
    log_mass = discretized_logistic(means, log_scales, levels)
    gradients = torch.autograd.grad(log_mass.sum(), (means, log_scales))
    assert torch.isfinite(log_mass).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_gradients_of_the_likelihoods_pass_gradcheck() -> None:
    torch.manual_seed(0)
    mean, spread = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    mean, spread = mean.requires_grad_(), spread.requires_grad_()
    observed = torch.randint(0, 256, (4, 5)) / 255
    observed[0, 0], observed[0, 1] = 0, 1  # both tails
    observed = observed.double()
    assert torch.autograd.gradcheck(lambda m, s: discretized_logistic(m, s, observed), (mean, spread))
    assert torch.autograd.gradcheck(lambda m, s: gaussian(m, s, observed), (mean, spread))
    assert torch.autograd.gradcheck(lambda m: bernoulli(m, observed), (mean,))


def test_a_very_wide_logistic_has_half_of_its_mass_in_each_outermost_bin() -> None:
    log_mass = masses(0.5, 12.0)
    assert log_mass[[0, -1]].exp().tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_a_very_narrow_logistic_has_all_its_mass_in_one_bin() -> None:
    for level in (0, 1, 128, 254, 255):
        assert masses(level / 255, -12.0)[level].item() == pytest.approx(0, abs=1e-9)


def test_masses_are_symmetric_under_inversion_of_grey_levels() -> None:
    torch.testing.assert_close(masses(0.2, -3.0), masses(0.8, -3.0).flip(0), rtol=1e-9, atol=1e-9)


def test_the_gaussian_density_agrees_with_scipy_and_broadcasts_sigma() -> None:
    rng = np.random.default_rng(0)
    mean, observed = rng.uniform(size=(5, 3, 4, 2)), rng.uniform(size=(5, 3, 4, 2))
    log_sigma = math.log(0.1)
    got = gaussian(torch.tensor(mean), torch.tensor(log_sigma), torch.tensor(observed))
    expected = scipy.stats.norm.logpdf(observed, mean, 0.1).reshape(5, -1).sum(1)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-7)  # log_sigma is float32


def test_the_gaussian_density_at_its_mean_is_the_normalization_constant() -> None:
    mean = torch.rand(2, 1, 2, 2)
    expected = -4 * (math.log(0.1) + 0.5 * math.log(2 * math.pi))
    assert gaussian(mean, torch.tensor(math.log(0.1)), mean).tolist() == pytest.approx([expected] * 2, rel=1e-6)


def test_bernoulli_agrees_with_scipy_on_binary_pixels() -> None:
    rng = np.random.default_rng(0)
    logits, observed = rng.normal(scale=4, size=(6, 1, 5, 5)), rng.integers(0, 2, size=(6, 1, 5, 5))
    got = bernoulli(torch.tensor(logits), torch.tensor(observed, dtype=torch.float64))
    expected = scipy.stats.bernoulli.logpmf(observed, scipy.special.expit(logits)).reshape(6, -1).sum(1)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10)


def test_bernoulli_of_grey_levels_is_minus_the_cross_entropy() -> None:
    grey, logits = torch.rand(4, 9, dtype=torch.float64), torch.randn(4, 9, dtype=torch.float64)
    probability = torch.sigmoid(logits)
    expected = (grey * probability.log() + (1 - grey) * (1 - probability).log()).sum(1)
    torch.testing.assert_close(bernoulli(logits, grey), expected, rtol=1e-10, atol=0)


def test_bernoulli_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    value = bernoulli(logits, torch.tensor([[0.0, 1.0]]))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert value.item() == -2e4
    assert gradient.tolist() == [[-1.0, 1.0]]


def test_logits_of_zero_cost_one_bit_per_dimension() -> None:
    nats = -bernoulli(torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28))
    assert nats.item() == pytest.approx(784 * math.log(2), rel=1e-6)
    assert bits_per_dimension(nats.item(), 784) == pytest.approx(1.0, rel=1e-6)


def test_a_uniform_distribution_over_256_levels_costs_eight_bits_per_dimension() -> None:
    assert bits_per_dimension(3072 * math.log(256), 3072) == pytest.approx(8.0, rel=1e-12)


def test_the_bernoulli_cross_entropy_of_mnist_is_bounded_by_its_entropy_of_45_53_nats(mnist_test_images: Tensor) -> None:
    exact = mnist_test_images.double().numpy()
    entropy = (scipy.special.entr(exact) + scipy.special.entr(1 - exact)).sum(1)
    assert entropy.mean() == pytest.approx(45.53, abs=0.005)
    # the optimal decoder: probabilities equal to the grey levels, clipped to [1e-6, 1 - 1e-6]
    optimal = torch.logit(mnist_test_images, eps=1e-6)
    nats = -bernoulli(optimal, mnist_test_images).double().numpy()
    assert nats.mean() == pytest.approx(entropy.mean(), abs=784 * 1.5e-6)
    assert np.all(nats >= entropy * (1 - 1e-5))


def test_weights_select_pixels_and_are_broadcast_over_channels() -> None:
    torch.manual_seed(0)
    outputs, observed = torch.randn(3, 2, 4, 5), torch.randint(0, 256, (3, 2, 4, 5)) / 255
    weight = torch.zeros(3, 1, 4, 5)
    weight[..., 2:] = 1
    functions = (
        lambda values, targets, weight=None: bernoulli(values, targets, weight),
        lambda values, targets, weight=None: gaussian(values, torch.tensor(-1.0), targets, weight),
        lambda values, targets, weight=None: discretized_logistic(values, values - 1, targets, weight),
        lambda values, targets, weight=None: bernoulli_entropy(targets, weight),
    )
    for function in functions:
        torch.testing.assert_close(function(outputs, observed, weight), function(outputs[..., 2:], observed[..., 2:]))
        torch.testing.assert_close(function(outputs, observed, torch.ones(1)), function(outputs, observed))
