"""Bounds of a VAE with one latent dimension against quadrature: unbiased, ordered, and tight with many particles (trap 3)."""

import copy
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.families.vae import VAE, VAEConfig

N = 20_000
Z = 5.5  # two-sided probability 3.8e-8
IMAGE = torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]])


@pytest.fixture(scope="module")
def vae() -> VAE:
    torch.manual_seed(0)
    model = VAE(VAEConfig(network="dense", hidden=(6,), latent_dim=1, activation="tanh"), DataSpec(1, 2, 2))
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)  # a likelihood that depends on the latent
        for layer, value in ((model.mean, -0.8), (model.log_var, 0.4)):
            layer.weight.zero_()
            layer.bias.fill_(value)  # a posterior that is neither right nor the prior, and wider than both: weights are bounded
    return model


class Quadrature:
    """Integrals over the latent by the trapezoidal rule on [-12, 12], in float64; the integrands are smooth and vanish there."""

    def __init__(self, model: VAE) -> None:
        self.z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
        with torch.no_grad():
            logits = copy.deepcopy(model.decoder).double()(self.z[:, None]).flatten(1).numpy()
            posterior = model.posterior(IMAGE)
        self.mean, self.variance = posterior.mean.double().item(), math.exp(posterior.log_var.double().item())
        signs = 2 * IMAGE.double().flatten().numpy() - 1
        self.log_likelihood: NDArray[np.float64] = -np.log1p(np.exp(-signs * logits)).sum(1)

    def normal(self, mean: float, variance: float) -> NDArray[np.float64]:
        z = self.z.numpy()
        return np.asarray(np.exp(-((z - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance))

    def integral(self, values: NDArray[np.float64]) -> float:
        return float(np.trapezoid(values, self.z.numpy()))

    @property
    def log_p(self) -> float:
        return math.log(self.integral(np.exp(self.log_likelihood) * self.normal(0, 1)))

    @property
    def distortion(self) -> float:
        return -self.integral(self.log_likelihood * self.normal(self.mean, self.variance))

    @property
    def rate(self) -> float:
        proposal = self.normal(self.mean, self.variance)
        return self.integral(proposal * np.log(np.maximum(proposal, 1e-300) / self.normal(0, 1)))

    @property
    def elbo(self) -> float:
        return -self.rate - self.distortion


@pytest.fixture(scope="module")
def exact(vae: VAE) -> Quadrature:
    return Quadrature(vae)


def score(values: Tensor, expected: float) -> float:
    """Return by how many standard errors the mean of values [n] lies above what is expected."""
    return float((values.double().mean() - expected) / (values.double().std() / math.sqrt(len(values))))


@torch.no_grad()
def iwae(vae: VAE, particles: int, count: int = N) -> Tensor:
    torch.manual_seed(particles)
    return vae.log_likelihood(IMAGE.expand(count, 1, 2, 2), particles).nats


def test_the_quadrature_is_exact_enough(exact: Quadrature) -> None:
    assert exact.integral(exact.normal(0, 1)) == pytest.approx(1, abs=1e-12)
    assert exact.rate == pytest.approx(0.5 * (exact.mean**2 + exact.variance - 1 - math.log(exact.variance)), abs=1e-10)
    assert exact.elbo < exact.log_p - 0.2  # the bound is loose here, so that the tests below have something to tell apart


@torch.no_grad()
def test_the_elbo_estimate_is_unbiased(vae: VAE, exact: Quadrature) -> None:
    # 2 tests: 7.6e-8; detects a bias of 8.5 standard errors: 0.1 nats at a standard deviation of about 1.6
    torch.manual_seed(0)
    evidence = vae.elbo(IMAGE.expand(N, 1, 2, 2))
    assert abs(score(evidence.distortion, exact.distortion)) < Z
    torch.testing.assert_close(evidence.rate, torch.full((N,), exact.rate), rtol=1e-5, atol=0)  # analytic: no noise at all
    assert abs(score(-evidence.negative_elbo, exact.elbo)) < Z


def test_one_particle_gives_the_elbo_in_expectation(vae: VAE, exact: Quadrature) -> None:
    # 3.8e-8; detects a bias of 8.5 standard errors: 0.1 nats
    assert abs(score(iwae(vae, 1), exact.elbo)) < Z


def test_more_particles_never_lower_the_bound_and_never_pass_the_likelihood(vae: VAE, exact: Quadrature) -> None:
    # in expectation E(K) <= E(2K) <= log p; 4 + 5 one-sided tests at 5.5 standard errors: 1.7e-7. The first gaps are much wider
    # than the errors, and must be seen: a bound that ignores K, or has its weights upside down, fails there.
    means = {count: iwae(vae, count) for count in (1, 2, 4, 8, 16)}
    values = {count: (draws.double().mean().item(), draws.double().std().item() / math.sqrt(N)) for count, draws in means.items()}
    for fewer, more in ((1, 2), (2, 4), (4, 8), (8, 16)):
        error = math.hypot(values[fewer][1], values[more][1])
        assert values[more][0] > values[fewer][0] - Z * error
    assert values[2][0] > values[1][0] + Z * math.hypot(values[1][1], values[2][1])
    assert values[8][0] > values[2][0] + Z * math.hypot(values[2][1], values[8][1])
    assert all(mean < exact.log_p + Z * error for mean, error in values.values())


def test_many_particles_reach_the_likelihood(vae: VAE, exact: Quadrature) -> None:
    # to second order the bias is -Var(w / p) / (2 K); 40 bounds; 5e-7 (Student, 39 degrees of freedom, 6.0);
    # detects an error of 9 standard errors, 0.03 nats
    proposal = exact.normal(exact.mean, exact.variance)
    spread = exact.integral((np.exp(exact.log_likelihood - exact.log_p) * exact.normal(0, 1)) ** 2 / proposal) - 1
    bounds = iwae(vae, 5000, count=40).double()
    error = bounds.std().item() / math.sqrt(40)
    assert error < 4e-3
    assert abs(bounds.mean().item() + spread / 10_000 - exact.log_p) < 6 * error


def test_importance_weights_average_to_the_likelihood(vae: VAE, exact: Quadrature) -> None:
    # E(w) = p(x), whatever the proposal: the mean of exp(bound) is unbiased at every K; 2 tests: 8e-8
    for particles in (1, 8):
        assert abs(score((iwae(vae, particles).double() - exact.log_p).exp(), 1.0)) < Z
