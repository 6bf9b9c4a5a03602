"""The latents that a VAE draws have the mean and the variance that its posterior states, and carry gradients."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Posterior
from simulacra.families.vae import VAE, VAEConfig

N = 50_000
Z = 5.5  # two-sided probability 3.8e-8


def vae() -> VAE:
    torch.manual_seed(0)
    model = VAE(VAEConfig(network="dense", hidden=(8,), latent_dim=3), DataSpec(1, 2, 2))
    with torch.no_grad():
        model.mean.bias.copy_(torch.tensor([3.0, 0.0, -1.0]))
        model.log_var.bias.copy_(torch.tensor([-4.0, 0.0, 2.0]))  # a sigma of exp(-4) or exp(2) instead of its root would show
    return model


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Posterior]:
    """Return N latents [n 3] of one image as the decoder receives them, and the posterior they are drawn from."""
    model, image, seen = vae(), torch.tensor([[[[0.1, 0.9], [0.4, 0.0]]]]), []
    hook = model.decoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    torch.manual_seed(1)
    with torch.no_grad():
        model.log_likelihood(image, N)
        posterior = model.posterior(image)
    hook.remove()
    return torch.cat(seen).double(), posterior


def test_latents_have_the_mean_of_the_posterior(drawn: tuple[Tensor, Posterior]) -> None:
    # 3 tests: 1.1e-7; detects a mean that is off by 8.5 / sqrt(n) = 0.04 sigma
    latents, posterior = drawn
    scores = (latents.mean(0) - posterior.mean[0].double()) / (0.5 * posterior.log_var[0].double()).exp() * math.sqrt(N)
    assert scores.abs().max() < Z


def test_latents_have_the_variance_of_the_posterior(drawn: tuple[Tensor, Posterior]) -> None:
    # the variance of n normal values has a relative standard error of sqrt(2/n) = 0.63 %; 3 tests: 1.1e-7 (the chi-square's skew
    # at this n moves it by less than a factor of 2); detects a variance that is off by 5.4 %
    latents, posterior = drawn
    scores = (latents.var(0) / posterior.log_var[0].double().exp() - 1) / math.sqrt(2 / N)
    assert scores.abs().max() < Z


def test_latents_are_normal(drawn: tuple[Tensor, Posterior]) -> None:
    # Kolmogorov-Smirnov, 3 tests of 1e-7; detects a distribution function that is off by about 4.5 / sqrt(n) = 0.02
    latents, posterior = drawn
    standard = (latents - posterior.mean[0].double()) / (0.5 * posterior.log_var[0].double()).exp()
    assert min(scipy.stats.kstest(standard[:, index].numpy(), "norm").pvalue for index in range(3)) > 1e-7


def test_latent_dimensions_and_successive_draws_are_uncorrelated(drawn: tuple[Tensor, Posterior]) -> None:
    # 3 + 3 correlations with a standard error of 1 / sqrt(n): 2.3e-7; detects a correlation of 0.04
    latents, _ = drawn
    pairs = torch.corrcoef(latents.T)[[0, 0, 1], [1, 2, 2]]
    centred = latents - latents.mean(0)
    successive = (centred[1:] * centred[:-1]).mean(0) / latents.var(0)
    assert torch.cat([pairs, successive]).abs().max() * math.sqrt(N) < Z


def test_gradients_flow_through_the_draws() -> None:
    # of the mean: 1; of the log-variance: (z - mean) / 2
    model, image, seen = vae(), torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(0)), []
    hook = model.decoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.elbo(image)
    hook.remove()
    (latents,) = seen
    posterior = model.posterior(image)
    mean, log_var = torch.autograd.grad(latents.sum(), (model.mean.bias, model.log_var.bias))
    torch.testing.assert_close(mean, torch.ones(3))
    torch.testing.assert_close(log_var, (latents - posterior.mean)[0].detach() / 2)
