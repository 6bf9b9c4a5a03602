"""Samplers against distributions whose flow and variances are known in closed form (trap 12)."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from tests.diffusion.mixture import Mixture, variance_exploding
from torch import Tensor

from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath, straight_path, variance_preserving
from simulacra.diffusion.samplers import (
    SAMPLERS,
    Denoiser,
    DenoiserOutput,
    SamplerFunction,
    classifier_free_guidance,
    no_noise,
    sample_ancestral,
    sample_ddim,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
)
from simulacra.diffusion.schedules import cosine, karras, linear, sampling_levels

LINEAR = variance_preserving(linear)
PATHS: dict[str, ProbabilityPath] = {
    "linear": LINEAR,
    "cosine": variance_preserving(cosine),
    "karras": variance_exploding(karras),
    "straight": straight_path,
}
DETERMINISTIC: dict[str, tuple[SamplerFunction, int]] = {
    "ddim": (sample_ddim, 1),
    "euler": (sample_euler, 1),
    "heun": (sample_heun, 2),
    "dpmpp-2m": (sample_dpmpp_2m, 2),
}
QUANTILES = torch.special.ndtri(torch.linspace(0.02, 0.98, 25, dtype=torch.float64)).view(-1, 1, 1, 1)


def levels_between(path: ProbabilityPath, first: float, last: float, steps: int) -> NoiseLevels:
    """Return steps + 1 levels between two times, evenly spaced in time."""
    return path(torch.linspace(first, last, steps + 1, dtype=torch.float64))


def errors(
    sample: SamplerFunction, path: ProbabilityPath, mixture: Mixture, ends: tuple[float, float], counts: tuple[int, ...]
) -> list[float]:
    """Return the largest error against the exact flow over a set of quantiles, for each number of steps."""
    found = []
    for steps in counts:
        levels = levels_between(path, *ends, steps)
        start = QUANTILES * (levels.alpha[0] ** 2 + levels.sigma[0] ** 2).sqrt()
        sampled = sample(mixture.denoise, start, levels, no_noise)
        found.append((sampled - mixture.transport(start, levels[0], levels[-1])).abs().max().item())
    return found


# --- the order of deterministic samplers


@pytest.mark.long
@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", ["linear", "cosine", "straight"])
def test_doubling_the_steps_divides_the_error_by_two_to_the_order(name: str, path: str) -> None:
    sample, order = DETERMINISTIC[name]
    coarse, fine = errors(sample, PATHS[path], Mixture(), (0.9, 0.1), (320, 640))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", PATHS)
def test_deterministic_samplers_converge_to_the_exact_flow(name: str, path: str) -> None:
    sample, order = DETERMINISTIC[name]
    last = 0.3 if path == "karras" else 0.02
    (error,) = errors(sample, PATHS[path], Mixture(), (1.0, last), (300,))
    assert error < {1: 0.06, 2: 0.004}[order]


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_encoding_and_decoding_with_a_deterministic_sampler_returns_the_images(name: str) -> None:
    sample, order = DETERMINISTIC[name]
    images = torch.linspace(-0.8, 0.8, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    errors_found = []
    for steps in (50, 100):
        levels = levels_between(LINEAR, 1.0, 0.05, steps)
        noisy = sample(Mixture().denoise, images, levels.reversed(), no_noise)
        errors_found.append((sample(Mixture().denoise, noisy, levels, no_noise) - images).abs().max().item())
    assert errors_found[1] < {1: 0.06, 2: 0.003}[order]
    assert errors_found[0] / errors_found[1] > 0.85 * 2**order


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", PATHS)
def test_a_constant_prediction_is_reached_in_any_number_of_steps(name: str, path: str) -> None:
    # with a constant prediction the solution is a straight line, which every sampler integrates exactly
    image = torch.tensor(0.3, dtype=torch.float64)
    for steps in (1, 2, 7):
        levels = sampling_levels(PATHS[path], steps, "time")
        sampled = DETERMINISTIC[name][0](lambda noisy, _: DenoiserOutput(image.expand_as(noisy)), QUANTILES, levels, no_noise)
        torch.testing.assert_close(sampled, image.expand_as(QUANTILES))


def test_euler_equals_ddim_without_noise_and_the_algorithm_of_karras_et_al() -> None:
    mixture = Mixture()
    levels = sampling_levels(LINEAR, 12, "karras")
    torch.testing.assert_close(
        sample_euler(mixture.denoise, QUANTILES, levels, no_noise), sample_ddim(mixture.denoise, QUANTILES, levels, no_noise)
    )
    exploding = sampling_levels(variance_exploding(karras), 12, "karras")
    noisy = QUANTILES * exploding.sigma[0]
    for level, next_level in pairwise(exploding):  # algorithm 1 without the second-order correction
        noisy = noisy + (next_level.sigma - level.sigma) * (noisy - mixture.denoise(noisy, level).image) / level.sigma
    torch.testing.assert_close(sample_euler(mixture.denoise, QUANTILES * exploding.sigma[0], exploding, no_noise), noisy)


def test_two_steps_of_dpmpp_2m_equal_those_of_the_paper() -> None:
    mixture, levels = Mixture(), levels_between(LINEAR, 0.8, 0.2, 2)
    (s, t, u), half = levels, 0.5 * levels.log_snr  # lambda of Lu et al. (2022)
    first = mixture.denoise(QUANTILES, s).image
    h = half[1] - half[0]
    middle = t.sigma / s.sigma * QUANTILES - t.alpha * (torch.exp(-h) - 1) * first
    second = mixture.denoise(middle, t).image
    k = half[2] - half[1]
    r = h / k
    d = (1 + 1 / (2 * r)) * second - 1 / (2 * r) * first
    expected = u.sigma / t.sigma * middle - u.alpha * (torch.exp(-k) - 1) * d  # algorithm 2
    torch.testing.assert_close(sample_dpmpp_2m(mixture.denoise, QUANTILES, levels, no_noise), expected)


# --- stochastic samplers


def ideal(std: float) -> Denoiser:
    """Return the ideal denoiser of images that are N(0, std^2)."""
    return lambda noisy, level: DenoiserOutput(noisy * (level.alpha * std**2 / ((level.alpha * std) ** 2 + level.sigma**2)))


def variance_of(levels: NoiseLevels, std: float, fresh: Callable[[NoiseLevels, NoiseLevels], Tensor]) -> float:
    """Return the variance at the end of a chain for images N(0, std^2), by a scalar recursion.

    The ideal denoiser is image = gain * noisy; fresh noise replaces a part of the predicted noise.
    """
    variance = 1.0
    for level, next_level in pairwise(levels):
        gain = level.alpha * std**2 / ((level.alpha * std) ** 2 + level.sigma**2)
        new = fresh(level, next_level)
        factor = next_level.alpha * gain + (next_level.sigma**2 - new).sqrt() * (1 - level.alpha * gain) / level.sigma
        variance = float(factor**2 * variance + new)
    return variance


def beta_tilde(level: NoiseLevels, next_level: NoiseLevels) -> Tensor:
    """Return Ho et al. (2020), eq. 7, in terms of alpha-bar."""
    return (1 - next_level.alpha**2) / (1 - level.alpha**2) * (1 - level.alpha**2 / next_level.alpha**2)


@pytest.mark.long
@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_the_variance_of_strided_ddpm_sampling_equals_the_closed_form(steps: int) -> None:
    # trap 12. n = 5,000: the relative standard error of a variance is sqrt(2 / n) = 2 %; 5.5 of them: 3.8e-8 (two-sided)
    std, count = 0.5, 5000
    levels = sampling_levels(LINEAR, steps, "time")
    source = torch.Generator().manual_seed(steps)

    def draw_noise() -> Tensor:
        return torch.randn(count, 1, 1, 1, generator=source, dtype=torch.float64)

    for sample, eta in ((sample_ancestral, 0.0), (sample_ddim, 1.0)):
        found = sample(ideal(std), draw_noise(), levels, draw_noise, eta=eta).var().item()
        expected = variance_of(levels, std, beta_tilde)
        assert found == pytest.approx(expected, rel=5.5 * math.sqrt(2 / count))
    # the closed form itself: few steps lose variance, many approach the true 0.25
    assert expected == pytest.approx({10: 0.1112, 50: 0.1972, 1000: 0.2461}[steps], rel=1e-3)


def test_variances_of_the_unstrided_chain_would_change_the_result() -> None:
    # the fault of trap 12, fifty steps with the variances of a chain of a thousand, is detected
    levels = sampling_levels(LINEAR, 50, "time")
    correct = variance_of(levels, 0.5, beta_tilde)
    wrong = variance_of(
        levels,
        0.5,
        lambda level, next_level: beta_tilde(level, LINEAR((level.time - 0.001).clamp_min(0))) * (next_level.sigma > 0),
    )
    assert abs(wrong / correct - 1) > 0.1


def test_ddim_with_eta_1_equals_ancestral_sampling() -> None:
    mixture, levels = Mixture(), sampling_levels(LINEAR, 20, "time")

    def stream() -> Callable[[], Tensor]:
        source = torch.Generator().manual_seed(3)
        return lambda: torch.randn(QUANTILES.shape, generator=source, dtype=torch.float64)

    torch.testing.assert_close(
        sample_ddim(mixture.denoise, QUANTILES, levels, stream(), eta=1.0),
        sample_ancestral(mixture.denoise, QUANTILES, levels, stream()),
    )


def test_a_learned_variance_is_interpolated_as_in_nichol_and_dhariwal() -> None:
    level, next_level = levels = levels_between(LINEAR, 0.6, 0.5, 1)
    ones = torch.ones_like(QUANTILES)
    deviations = [
        sample_ancestral(lambda noisy, _, v=v: DenoiserOutput(0 * noisy, v * ones), 0 * ones, levels, lambda: ones)[0].item()  # type: ignore[misc]
        for v in (0.0, 0.5, 1.0)
    ]
    beta, tilde = 1 - (level.alpha / next_level.alpha) ** 2, beta_tilde(level, next_level)
    assert [value**2 for value in deviations] == pytest.approx([tilde.item(), (beta * tilde).sqrt().item(), beta.item()])


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_generates_the_distribution(name: str) -> None:
    # detects a sampler that runs but generates another distribution. 4,000 samples, 60 steps; component weights within 0.05,
    # which is 7 standard errors (false positives below 1e-9)
    mixture, source = Mixture(), torch.Generator().manual_seed(1)

    def draw_noise() -> Tensor:
        return torch.randn(4000, 1, 1, 1, generator=source, dtype=torch.float64)

    sampler = SAMPLERS[name]
    images = sampler.sample(
        mixture.denoise,
        draw_noise(),
        sampling_levels(LINEAR, 60, sampler.spacing),
        draw_noise if sampler.stochastic else no_noise,
    )
    first_component = images[images < -0.1]
    assert len(first_component) / 4000 == pytest.approx(0.3, abs=0.05)
    assert first_component.mean() == pytest.approx(-0.6, abs=0.04)
    assert first_component.std() == pytest.approx(0.15, abs=0.04)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_keep_float32_and_call_the_denoiser_only_at_noisy_levels(name: str) -> None:
    calls: list[NoiseLevels] = []

    def denoise(noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        calls.append(level)
        return DenoiserOutput(0.5 * noisy)

    sampler = SAMPLERS[name]
    noisy = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images = sampler.sample(denoise, noisy, sampling_levels(LINEAR, 5, sampler.spacing), lambda: torch.ones_like(noisy))
    assert images.dtype == torch.float32
    assert all(level.sigma > 0 for level in calls)
    assert len(calls) == 5 * sampler.evaluations - (sampler.evaluations - 1)


def test_guidance_extrapolates_from_the_unconditional_prediction_through_the_conditional_one() -> None:
    conditional, unconditional = torch.tensor([2.0]), torch.tensor([1.0])
    assert [classifier_free_guidance(conditional, unconditional, w).item() for w in (0.0, 1.0, 3.0)] == [1.0, 2.0, 4.0]
    # with w = guidance_scale - 1: (1 + w) eps(x, c) - w eps(x) (Ho & Salimans 2022, eq. 6)
    assert classifier_free_guidance(conditional, unconditional, 3.0).item() == (1 + 2) * 2.0 - 2 * 1.0
