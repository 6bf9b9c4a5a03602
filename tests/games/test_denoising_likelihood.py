"""Bounds and densities against laws whose likelihood is known: Gaussians and mixtures of pixels."""

import math

import pytest
import torch
from tests.diffusion.mixture import Mixture
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from simulacra.diffusion.bounds import decoder_nats, prior_nats, step_nats
from simulacra.diffusion.flow_density import flow_log_density
from simulacra.diffusion.noise_levels import (
    NoiseLevels,
    ProbabilityPath,
    add_noise,
    posterior_variance,
    straight_path,
    upper_variance,
    variance_preserving,
)
from simulacra.diffusion.samplers import DenoiserOutput, posterior_mean
from simulacra.diffusion.schedules import chain_levels, cosine, linear, spaced_levels
from simulacra.objectives.likelihood import discretized_gaussian

LINEAR = variance_preserving(linear)
IMAGES = torch.linspace(-0.9, 0.9, 6, dtype=torch.float64).view(2, 1, 1, 3)


def drawn(seed: int = 0) -> Tensor:
    return torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- the bound, term by term


def test_the_prior_term_is_the_divergence_of_two_gaussians() -> None:
    level = LINEAR(torch.tensor(0.4))
    expected = kl_divergence(Normal(level.alpha * IMAGES, level.sigma), Normal(0, torch.ones_like(IMAGES)))
    torch.testing.assert_close(prior_nats(IMAGES, level), expected.flatten(1).sum(1))
    assert (prior_nats(IMAGES, LINEAR(torch.tensor(1.0))) < 1e-3).all()


def test_a_step_costs_half_the_gain_in_snr_times_the_squared_error() -> None:
    here, there = (LINEAR(torch.tensor([time, 0.8])) for time in (0.5, 0.3))
    here = LINEAR(torch.tensor([0.5, 0.9], dtype=torch.float64))
    noisy = add_noise(IMAGES, drawn(), here)
    estimate = DenoiserOutput(IMAGES + 0.1)
    expected = 0.5 * (there.snr - here.snr) * 0.01 * 3  # Kingma et al. 2021, eq. 14, of three pixels
    torch.testing.assert_close(step_nats(estimate, IMAGES, noisy, here, there), expected)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_step_with_a_learned_variance_costs_the_divergence_of_two_gaussians(share: float) -> None:
    here, there = LINEAR(torch.tensor(0.5)), LINEAR(torch.tensor(0.45))
    noisy = add_noise(IMAGES, drawn(), here)
    estimate = DenoiserOutput(0.9 * IMAGES, torch.full_like(IMAGES, share))
    wide, narrow = upper_variance(here, there), posterior_variance(here, there)
    true = Normal(posterior_mean(IMAGES, noisy, here, there), narrow.sqrt())
    found = Normal(posterior_mean(estimate.image, noisy, here, there), (wide**share * narrow ** (1 - share)).sqrt())
    expected = kl_divergence(true, found).flatten(1).sum(1)
    torch.testing.assert_close(step_nats(estimate, IMAGES, noisy, here, there), expected)


def test_the_mass_of_all_levels_is_one_and_each_is_a_difference_of_error_functions() -> None:
    levels = torch.arange(256, dtype=torch.float64)[:, None] / 255
    for mean, sigma in ((0.5, 0.01), (-0.1, 0.2), (1.3, 0.05)):
        found = discretized_gaussian(torch.full_like(levels, mean), torch.tensor(sigma).double().log(), levels)
        assert found.exp().sum().item() == pytest.approx(1)
        edges = torch.special.ndtr((levels + torch.tensor([[-0.5, 0.5]]) / 255 - mean) / sigma)
        middle = slice(1, 255)
        mass = (edges[:, 1] - edges[:, 0])[middle]
        likely = mass > 1e-9
        torch.testing.assert_close(found[middle][likely].exp(), mass[likely], rtol=1e-5, atol=0)


def test_levels_far_from_the_mean_have_finite_likelihoods_and_slopes() -> None:
    mean = torch.tensor([[0.0, 1.0, 0.5, 20.0]], requires_grad=True)
    found = discretized_gaussian(mean, torch.tensor(-6.0), torch.tensor([[1.0, 0.0, 0.9, 0.5]]))
    (slope,) = torch.autograd.grad(found.sum(), mean)
    assert found.isfinite().all()
    assert slope.isfinite().all()
    assert slope[0, 0] > 0 > slope[0, 1]


@pytest.mark.long
@pytest.mark.parametrize("schedule", [linear, cosine])
def test_the_bound_of_the_ideal_denoiser_lies_just_above_the_entropy(schedule: object) -> None:
    # all levels of a mixture, weighed by their mass; 40 noises for each level and time
    law, levels = Mixture(), chain_levels(variance_preserving(schedule), 1000)  # type: ignore[arg-type]
    grey = (2 * torch.arange(256, dtype=torch.float64) / 255 - 1).view(-1, 1, 1, 1)
    edges = torch.cat([torch.tensor([-30.0]), (grey.flatten()[1:] + grey.flatten()[:-1]) / 2, torch.tensor([30.0])]).double()
    clear = NoiseLevels(*(torch.tensor(value, dtype=torch.float64) for value in (0.0, 1.0, 0.0)))
    mass = law.cumulative(edges, clear).diff()
    entropy = -(mass * mass.clamp_min(1e-300).log()).sum()
    source = torch.Generator().manual_seed(0)
    images = grey[mass > 1e-7].repeat(8, 1, 1, 1)
    total = prior_nats(images, levels[-1])
    for place in range(1, 1000):
        noisy = add_noise(images, torch.randn(images.shape, generator=source, dtype=torch.float64), levels[place])
        total += step_nats(law.denoise(noisy, levels[place]), images, noisy, levels[place], levels[place - 1])
    noisy = add_noise(images, torch.randn(images.shape, generator=source, dtype=torch.float64), levels[0])
    total += decoder_nats(law.denoise(noisy, levels[0]), images, levels[0])
    bound = (mass[mass > 1e-7] * total.view(8, -1).mean(0)).sum()
    # a step over which the SNR grows r-fold costs (r - 1) / 2 where the error is that of the noise alone; in small ones it would
    # cost log(r) / 2. For the linear schedule 0.48 nats, most in its first steps. 0.03 is three standard errors
    ratio = levels.log_snr.diff().neg()
    gap = 0.5 * (torch.exp(ratio) - 1 - ratio).sum()
    assert entropy - 0.03 < bound < entropy + gap + 0.03, (entropy, bound, gap)


# --- the density


@pytest.mark.parametrize("path", [LINEAR, straight_path])
def test_the_density_of_a_gaussian_is_exact(path: ProbabilityPath) -> None:
    mean, std = 0.2, 0.4
    law = Mixture((1.0,), (mean,), (std,))
    levels = spaced_levels(path, 200, "time").reversed()[1:]
    found = flow_log_density(law.denoise, IMAGES, levels, probes=1)
    first, last = ((level, ((level.alpha * std) ** 2 + level.sigma**2).sqrt()) for level in (levels[0], levels[-1]))
    # the flow carries quantiles to quantiles: an affine map, onto what sampling begins with
    carried = (IMAGES - first[0].alpha * mean) / first[1] * last[1] + last[0].alpha * mean
    spread = (last[0].alpha ** 2 + last[0].sigma ** 2).sqrt()
    expected = Normal(0, spread).log_prob(carried) + (last[1] / first[1]).log()
    torch.testing.assert_close(found, expected.flatten(1).sum(1), rtol=0, atol=2e-3)
    # and that is the law's own density, but for how well the noisiest level is the noise that sampling begins with
    torch.testing.assert_close(found, law.log_density(IMAGES, levels[0]).flatten(1).sum(1), rtol=0, atol=0.02)


def test_the_density_of_a_mixture_is_that_of_the_law() -> None:
    law = Mixture()
    levels = spaced_levels(LINEAR, 300, "karras").reversed()
    found = flow_log_density(law.denoise, IMAGES, levels, probes=1)
    torch.testing.assert_close(found, law.log_density(IMAGES, levels[0]).flatten(1).sum(1), rtol=0, atol=0.03)


def test_random_directions_estimate_the_divergence_where_pixels_act_on_each_other() -> None:
    # images N(0, C) of two correlated pixels: the ideal denoiser mixes them. 4,000 estimates, 5.5 standard errors
    covariance = torch.tensor([[0.25, 0.2], [0.2, 0.25]], dtype=torch.float64)
    identity = torch.eye(2, dtype=torch.float64)

    def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        gain = level.alpha * covariance @ torch.linalg.inv(level.alpha**2 * covariance + level.sigma**2 * identity)
        return DenoiserOutput((noisy.flatten(1) @ gain.T).view_as(noisy))

    levels = spaced_levels(LINEAR, 60, "karras").reversed()
    image = torch.tensor([0.3, -0.1], dtype=torch.float64).view(1, 1, 1, 2)
    torch.manual_seed(0)
    found = flow_log_density(denoise, image.repeat(4000, 1, 1, 1), levels, probes=1)
    more = flow_log_density(denoise, image.repeat(1000, 1, 1, 1), levels, probes=4)
    spread = levels[0].alpha ** 2 * covariance + levels[0].sigma ** 2 * identity
    expected = torch.distributions.MultivariateNormal(torch.zeros(2).double(), spread).log_prob(image.flatten()).item()
    assert found.std() > 0.1
    assert abs(found.mean().item() - expected) < 5.5 * found.std().item() / math.sqrt(4000) + 0.02
    assert more.std().item() == pytest.approx(found.std().item() / 2, rel=0.2)
    with pytest.raises(ValueError, match="probes is 0"):
        flow_log_density(denoise, image, levels, probes=0)
