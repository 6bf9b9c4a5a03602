"""Schedules, parameterizations, loss weights and variances against the equations of their papers (traps 11 to 14)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.diffusion.mixture import variance_exploding
from torch import Tensor

from simulacra.diffusion import loss_weights as weights
from simulacra.diffusion import parameterizations
from simulacra.diffusion.noise_levels import (
    NoiseLevels,
    ProbabilityPath,
    add_noise,
    forward_variance,
    learned_log_variance,
    posterior_variance,
    straight_path,
    upper_variance,
    variance_preserving,
)
from simulacra.diffusion.parameterizations import PARAMETERIZATIONS, image_from_output, noise_from_image, training_target
from simulacra.diffusion.schedules import (
    SCHEDULES,
    chain_levels,
    cosine,
    karras,
    linear,
    sampling_levels,
    sigmoid,
    time_from_log_snr,
)

COUNTS = (2, 3, 5, 19, 50, 1000, 4000)
LINEAR = variance_preserving(linear)
TIMES = torch.linspace(0, 1, 1000, dtype=torch.float64)


def ho_et_al() -> Tensor:
    """Return alpha^2 of the 1000 steps of Ho et al. (2020): beta linear from 1e-4 to 0.02."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


# --- schedules


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("count", COUNTS)
def test_schedules_are_finite_and_monotone_for_every_number_of_levels(name: str, count: int) -> None:
    # trap 11: 0/0 at the first level of a cosine schedule; beta >= 1 of a linear one with few steps
    levels = chain_levels(variance_preserving(SCHEDULES[name]), count)
    for values in (levels.alpha, levels.sigma, levels.log_snr, levels.snr):
        assert torch.isfinite(values).all()
        assert (values != 0).all()
    assert (levels.log_snr.diff() < 0).all()
    betas = forward_variance(levels[1:], levels[:-1])
    assert (betas > 0).all()
    assert (betas < 1).all()
    torch.testing.assert_close(levels.alpha**2 + levels.sigma**2, torch.ones(count, dtype=torch.float64))


def test_the_linear_schedule_is_the_continuous_limit_of_ho_et_al() -> None:
    theirs = ho_et_al()
    # a product of 1 - beta against exp(-integral of beta): they differ by half the sum of beta^2, at most 0.068 of 10
    assert (LINEAR(TIMES).alpha.log() * 2 - theirs.log()).abs().max() < 0.1
    assert LINEAR(TIMES[:1]).sigma.item() ** 2 == pytest.approx(1e-4, rel=1e-4)


def test_the_cosine_schedule_is_the_cosine_of_a_linear_angle() -> None:
    levels = variance_preserving(cosine)(TIMES)
    first, last = 0.5 * math.pi * 0.008 / 1.008, 0.5 * math.pi * 0.996
    torch.testing.assert_close(levels.alpha, torch.cos(first + (last - first) * TIMES))
    paper = torch.cos((TIMES + 0.008) / 1.008 * math.pi / 2) ** 2  # Nichol & Dhariwal 2021, eq. 17
    assert (levels.alpha**2 - paper).abs().max() < 0.01


def test_the_sigmoid_schedule_is_symmetric_and_equals_that_of_jabri_et_al() -> None:
    alpha = variance_preserving(sigmoid)(TIMES).alpha ** 2
    paper = (torch.sigmoid(3 - 6 * TIMES) - torch.sigmoid(torch.tensor(-3.0))) / (
        torch.sigmoid(torch.tensor(3.0)) - torch.sigmoid(torch.tensor(-3.0))
    )
    assert (alpha - paper).abs().max() < 2e-4
    torch.testing.assert_close(alpha + alpha.flip(0), torch.full_like(alpha, alpha[0].item() + alpha[-1].item()))


def test_karras_spacing_equals_equation_5_of_karras_et_al() -> None:
    sigmas = sampling_levels(variance_exploding(karras), 18, "karras").sigma
    steps = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + steps / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(sigmas[:-1], expected)
    assert sigmas[-1] == 0
    # and another path's between its own ends
    levels = sampling_levels(LINEAR, 10, "karras")[:-1]
    roots = (levels.sigma / levels.alpha) ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(9))


def test_log_snr_spacing_has_equal_steps_and_the_ends_of_the_path() -> None:
    levels = sampling_levels(LINEAR, 20, "log-snr")
    assert len(levels) == 21
    assert levels.time[[0, -2]].tolist() == pytest.approx([1, 0], abs=1e-12)
    assert [levels.alpha[-1].item(), levels.sigma[-1].item()] == [1, 0]
    widths = levels.log_snr[:-1].diff()
    torch.testing.assert_close(widths, widths[:1].expand(19))


@pytest.mark.parametrize("spacing", ["time", "log-snr", "karras"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_sampling_levels_start_at_the_noisiest_level_and_end_at_the_clean_image(spacing: str, steps: int) -> None:
    levels = sampling_levels(LINEAR, steps, spacing)  # type: ignore[arg-type]
    assert len(levels) == steps + 1
    assert levels.time[0] == pytest.approx(1, abs=1e-12)
    assert levels.sigma[-1] == 0
    assert (levels.sigma.diff() < 0).all()


def test_too_few_levels_or_steps_raise_value_error() -> None:
    with pytest.raises(ValueError, match="1 levels"):
        chain_levels(LINEAR, 1)
    with pytest.raises(ValueError, match="steps is 0"):
        sampling_levels(LINEAR, 0, "time")


@given(st.floats(0.0, 1.0))
def test_times_are_recovered_from_their_log_snr(time: float) -> None:
    times = torch.tensor([time], dtype=torch.float64)
    torch.testing.assert_close(time_from_log_snr(LINEAR, LINEAR(times).log_snr), times, rtol=0, atol=1e-10)
    assert time_from_log_snr(LINEAR, torch.tensor([1e3, -1e3], dtype=torch.float64)).tolist() == pytest.approx([0, 1], abs=1e-12)


# --- parameterizations


def pair(path: ProbabilityPath) -> tuple[Tensor, Tensor, NoiseLevels]:
    """Return images, noise and one level per image, none at the ends of the path."""
    source = torch.Generator().manual_seed(0)
    images, noise = torch.rand(2, 5, 1, 3, 3, generator=source, dtype=torch.float64) * 2 - 1
    return images, noise, path(torch.linspace(0.01, 0.99, 5))


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
@pytest.mark.parametrize("path", [LINEAR, variance_exploding(karras), straight_path])
def test_the_training_target_gives_the_images_back(name: str, path: ProbabilityPath) -> None:
    images, noise, level = pair(path)
    noisy = add_noise(images, noise, level)
    parameterization = PARAMETERIZATIONS[name]
    torch.testing.assert_close(
        image_from_output(training_target(images, noisy, level, parameterization), noisy, level, parameterization), images
    )
    torch.testing.assert_close(noise_from_image(images, noisy, level), noise)


def test_training_targets_equal_those_of_the_papers() -> None:
    # trap 14: the target is computed from the noisy input, so both have the same noise
    images, noise, level = pair(LINEAR)
    noisy, factors = add_noise(images, noise, level), level.broadcast_to(images)

    def target(name: str) -> Tensor:
        return training_target(images, noisy, level, PARAMETERIZATIONS[name])

    torch.testing.assert_close(target("noise"), noise)
    torch.testing.assert_close(target("image"), images)
    torch.testing.assert_close(target("v"), factors.alpha * noise - factors.sigma * images)
    images, noise, level = pair(straight_path)
    noisy = add_noise(images, noise, level)
    torch.testing.assert_close(target("velocity"), noise - images)


def test_the_velocity_is_the_time_derivative_of_the_straight_path() -> None:
    images, noise, level = pair(straight_path)
    later = straight_path(level.time + 1e-6)
    derivative = (add_noise(images, noise, later) - add_noise(images, noise, level)) / 1e-6
    found = training_target(images, add_noise(images, noise, level), level, parameterizations.velocity)
    torch.testing.assert_close(found, derivative, rtol=1e-6, atol=1e-8)


def test_preconditioning_equals_that_of_karras_et_al_and_gives_unit_variance() -> None:
    sigma = torch.tensor([0.002, 0.3, 0.5, 4.0, 80.0], dtype=torch.float64)
    level = NoiseLevels(sigma, torch.ones_like(sigma), sigma)
    coefficients = parameterizations.edm(level)
    torch.testing.assert_close(coefficients.c_skip, 0.25 / (sigma**2 + 0.25))  # c_skip, table 1
    torch.testing.assert_close(coefficients.c_out, sigma * 0.5 / (0.25 + sigma**2).sqrt())  # c_out
    torch.testing.assert_close(parameterizations.input_scale(level), 1 / (sigma**2 + 0.25).sqrt())  # c_in
    # variances of the target (image - c_skip * noisy) / c_out and of the scaled input, for images of variance 1/4
    for at in (level, LINEAR(TIMES)):
        found = parameterizations.edm(at)
        variance = ((1 - found.c_skip * at.alpha) ** 2 * 0.25 + (found.c_skip * at.sigma) ** 2) / found.c_out**2
        torch.testing.assert_close(variance, torch.ones_like(variance), rtol=1e-7, atol=1e-7)
        scaled = parameterizations.input_scale(at) ** 2 * (0.25 * at.alpha**2 + at.sigma**2)
        torch.testing.assert_close(scaled, torch.ones_like(scaled))


# --- weights


def test_weights_are_one_for_the_output_of_their_parameterization() -> None:
    levels = LINEAR(TIMES)
    ones = torch.ones_like(levels.time)
    pairs = ((weights.simple, parameterizations.noise), (weights.edm, parameterizations.edm))
    for weight, parameterization in (*pairs, (weights.flow_matching, parameterizations.velocity)):
        torch.testing.assert_close(weights.output_weight(weight(levels), parameterization(levels)), ones)
    path = straight_path(TIMES[1:])
    torch.testing.assert_close(weights.output_weight(weights.flow_matching(path), parameterizations.velocity(path)), ones[1:])


def test_the_min_snr_weight_equals_that_of_hang_et_al() -> None:
    levels = LINEAR(TIMES)
    noise_weight = weights.output_weight(weights.min_snr(levels), parameterizations.noise(levels))
    torch.testing.assert_close(noise_weight, (5 / levels.snr).clamp_max(1))  # min(SNR, 5) / SNR for the noise
    v_weight = weights.output_weight(weights.min_snr(levels), parameterizations.v(levels))
    torch.testing.assert_close(v_weight, levels.snr.clamp_max(5) / (levels.snr + 1))  # their section 3.4


# --- variances


@pytest.mark.parametrize("count", [10, 50, 1000])
def test_variances_of_a_step_equal_those_of_the_discrete_chain(count: int) -> None:
    levels = chain_levels(LINEAR, count)
    level, next_level = levels[1:], levels[:-1]
    kept, before = (level.alpha / next_level.alpha) ** 2, next_level.alpha**2
    beta = 1 - kept
    torch.testing.assert_close(forward_variance(level, next_level), beta)
    torch.testing.assert_close(upper_variance(level, next_level), beta)
    torch.testing.assert_close(
        posterior_variance(level, next_level), (1 - before) / (1 - level.alpha**2) * beta
    )  # Ho et al., eq. 7


def test_the_learned_variance_is_interpolated_in_the_logarithm() -> None:
    # trap 13: Nichol & Dhariwal 2021, eq. 15
    levels = chain_levels(LINEAR, 50)
    level, next_level = levels[20], levels[10]  # a step that skips nine levels
    beta, tilde = upper_variance(level, next_level), posterior_variance(level, next_level)
    for v in (0.0, 0.3, 1.0):
        found = learned_log_variance(torch.tensor([v], dtype=torch.float64), level, next_level).exp()
        torch.testing.assert_close(found, (beta**v * tilde ** (1 - v))[None])
    linearly = 0.5 * beta + 0.5 * tilde
    assert abs(learned_log_variance(torch.tensor(0.5), level, next_level).exp() / linearly - 1) > 1e-3
