"""Divergences and bounds against closed forms and float64 references."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulacra.objectives.divergence import (
    importance_weighted_bound,
    kl_between_normals,
    kl_to_standard_normal,
    normal_log_density,
    standard_normal_log_density,
)

means = st.floats(-20, 20, width=32)
log_vars = st.floats(-12, 12, width=32)


def test_kl_of_a_normal_with_mean_3_is_4_5_nats_and_its_gradient_is_3() -> None:
    # trap 2: a KL that is clamped to a capacity of 0 has neither the value nor the gradient
    mean = torch.tensor(3.0, requires_grad=True)
    kl = kl_to_standard_normal(mean, torch.tensor(0.0))
    kl.backward()
    assert kl.item() == 4.5
    assert mean.grad is not None
    assert mean.grad.item() == 3.0


@given(means, log_vars, means, log_vars)
def test_kl_between_normals_equals_that_of_torch_distributions(
    mean: float, log_var: float, prior_mean: float, prior_log_var: float
) -> None:
    values = [torch.tensor(value, dtype=torch.float64) for value in (mean, log_var, prior_mean, prior_log_var)]
    first, second = (torch.distributions.Normal(values[k], (0.5 * values[k + 1]).exp()) for k in (0, 2))
    expected = torch.distributions.kl_divergence(first, second)
    torch.testing.assert_close(kl_between_normals(*values), expected, rtol=1e-9, atol=1e-9)


def test_kl_between_equal_normals_is_zero_and_to_the_standard_normal_the_known_one() -> None:
    mean, log_var = torch.linspace(-3, 3, 7), torch.linspace(-2, 2, 7)
    assert not kl_between_normals(mean, log_var, mean, log_var).any()
    zeros = torch.zeros(7)
    torch.testing.assert_close(kl_between_normals(mean, log_var, zeros, zeros), kl_to_standard_normal(mean, log_var))


def test_kl_of_the_prior_to_itself_is_zero_with_zero_gradient() -> None:
    mean, log_var = torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    kl = kl_to_standard_normal(mean, log_var)
    gradients = torch.autograd.grad(kl.sum(), (mean, log_var))
    assert kl.tolist() == [0.0] * 5
    assert all(not gradient.any() for gradient in gradients)


def test_kl_takes_the_logarithm_of_the_variance_not_of_the_standard_deviation() -> None:
    # sigma = 2: (4 - 1 - log 4) / 2; trap 3's "sigma taken for the variance" would give (2 - 1 - log 2) / 2
    kl = kl_to_standard_normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(math.log(4.0), dtype=torch.float64))
    assert kl.item() == pytest.approx((4 - 1 - math.log(4)) / 2, rel=1e-12)


def test_kl_is_computed_per_dimension() -> None:
    assert kl_to_standard_normal(torch.zeros(4, 3), torch.zeros(4, 3)).shape == (4, 3)


@given(means, log_vars)
def test_kl_is_never_negative_and_agrees_with_float64(mean: float, log_var: float) -> None:
    kl = kl_to_standard_normal(torch.tensor(mean), torch.tensor(log_var)).item()
    exact = 0.5 * (mean**2 + math.exp(log_var) - 1 - log_var)
    scale = mean**2 + math.exp(log_var) + 1 + abs(log_var)
    assert kl >= -1e-7 * scale
    assert kl == pytest.approx(exact, abs=4e-7 * scale)  # three roundings of 2^-24 relative to the largest term


@given(means, st.floats(-3, 3, width=32))
def test_kl_is_the_expected_difference_of_log_densities_by_quadrature(mean: float, log_var: float) -> None:
    # Gauss-Hermite with 20 nodes is exact for polynomials up to degree 39; the integrand has degree 2
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    value = torch.tensor(mean + math.exp(0.5 * log_var) * nodes)[:, None]
    centre, width = torch.tensor([mean], dtype=torch.float64), torch.tensor([log_var], dtype=torch.float64)
    difference = normal_log_density(value, centre, width) - standard_normal_log_density(value)
    expected = float(difference.numpy() @ weights) / math.sqrt(2 * math.pi)
    assert kl_to_standard_normal(centre, width).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_log_densities_agree_with_scipy_and_are_summed_over_the_last_axis_only() -> None:
    rng = np.random.default_rng(0)
    value, mean, log_var = rng.normal(size=(7, 4, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    got = normal_log_density(*(torch.tensor(array) for array in (value, mean, log_var)))
    expected = scipy.stats.norm.logpdf(value, mean, np.exp(log_var / 2)).sum(-1)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
    standard = standard_normal_log_density(torch.tensor(value)).numpy()
    np.testing.assert_allclose(standard, scipy.stats.norm.logpdf(value).sum(-1), rtol=1e-12)


def test_gradients_of_divergences_and_densities_pass_gradcheck() -> None:
    torch.manual_seed(0)
    value, mean, log_var = (torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mean, log_var))
    assert torch.autograd.gradcheck(normal_log_density, (value, mean, log_var))
    assert torch.autograd.gradcheck(importance_weighted_bound, (value,))


def test_the_importance_weighted_bound_of_one_particle_is_its_log_weight() -> None:
    log_weights = torch.tensor([[-85.25, 3.0, 0.0]])
    assert torch.equal(importance_weighted_bound(log_weights), log_weights[0])


def test_the_importance_weighted_bound_of_equal_weights_is_their_logarithm() -> None:
    for count in (1, 2, 64, 5000):
        bound = importance_weighted_bound(torch.full((count, 2), -85.0, dtype=torch.float64))
        assert bound.tolist() == pytest.approx([-85.0, -85.0], rel=1e-13)


def test_the_importance_weighted_bound_averages_weights_and_not_their_logarithms() -> None:
    # weights 1 and 3: log 2; the mean of the logarithms would be log(3) / 2
    assert importance_weighted_bound(torch.tensor([[0.0], [math.log(3.0)]])).item() == pytest.approx(math.log(2.0), rel=1e-6)


def test_the_importance_weighted_bound_is_finite_for_weights_that_overflow_or_underflow() -> None:
    bound = importance_weighted_bound(torch.tensor([[-1e4, 1e4], [-1e4, -1e4], [-math.inf, -1e4]]))
    assert bound.tolist() == pytest.approx([-1e4 + math.log(2 / 3), 1e4 - math.log(3)], rel=1e-6)


def test_the_gradient_of_the_importance_weighted_bound_equals_the_normalized_weights() -> None:
    # Burda et al. 2015, eq. 13
    torch.manual_seed(0)
    log_weights = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(importance_weighted_bound(log_weights).sum(), log_weights)
    torch.testing.assert_close(gradient, log_weights.detach().softmax(0), rtol=1e-12, atol=0)


@given(st.lists(st.floats(-300, 50, width=32), min_size=1, max_size=12))
def test_the_importance_weighted_bound_lies_between_mean_and_maximum_and_agrees_with_scipy(values: list[float]) -> None:
    bound = importance_weighted_bound(torch.tensor(values, dtype=torch.float64)[:, None]).item()
    assert np.mean(values) - 1e-9 <= bound <= max(values) + 1e-9
    assert bound == pytest.approx(float(scipy.special.logsumexp(values)) - math.log(len(values)), rel=1e-12, abs=1e-12)
