"""Schedules, parameterizations, weights and variances, against what their papers say (traps 11 to 14)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simulacra.diffusion import loss_weights as weights
from simulacra.diffusion import parameterizations
from simulacra.diffusion.noise_levels import Level, noised, straight, variance_exploding, variance_preserving
from simulacra.diffusion.parameterizations import PARAMETERIZATIONS, image_of, noise_of, output_of
from simulacra.diffusion.schedules import SCHEDULES, chain, cosine, grid, karras, linear, sigmoid, time_of
from simulacra.diffusion.variances import (
    learned_log_variance,
    log_kept,
    posterior_variance,
    step_variance,
    widest_variance,
)

COUNTS = (2, 3, 5, 19, 50, 1000, 4000)
LINEAR = variance_preserving(linear)
TIMES = torch.linspace(0, 1, 1000, dtype=torch.float64)


def ho_et_al() -> Tensor:
    """Return alpha^2 of the 1000 steps of Ho et al. (2020), by their definition: beta linear from 1e-4 to 0.02."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


# --- schedules


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("count", COUNTS)
def test_a_schedule_is_finite_and_monotone_for_every_number_of_levels(name: str, count: int) -> None:
    # trap 11: 0/0 at the first level of a cosine schedule; beta >= 1 of a linear one with few steps
    levels = chain(variance_preserving(SCHEDULES[name]), count)
    for values in (levels.alpha, levels.sigma, levels.log_snr, levels.snr):
        assert torch.isfinite(values).all()
        assert (values != 0).all()
    assert (levels.log_snr.diff() < 0).all()
    betas = step_variance(levels[1:], levels[:-1])
    assert (betas > 0).all()
    assert (betas < 1).all()
    torch.testing.assert_close(levels.alpha**2 + levels.sigma**2, torch.ones(count, dtype=torch.float64))


def test_the_linear_schedule_is_that_of_ho_et_al_in_the_limit_of_many_steps() -> None:
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


def test_the_sigmoid_schedule_is_symmetric_and_that_of_jabri_et_al() -> None:
    alpha = variance_preserving(sigmoid)(TIMES).alpha ** 2
    paper = (torch.sigmoid(3 - 6 * TIMES) - torch.sigmoid(torch.tensor(-3.0))) / (
        torch.sigmoid(torch.tensor(3.0)) - torch.sigmoid(torch.tensor(-3.0))
    )
    assert (alpha - paper).abs().max() < 2e-4
    torch.testing.assert_close(alpha + alpha.flip(0), torch.full_like(alpha, alpha[0].item() + alpha[-1].item()))


def test_the_sigmas_of_karras_et_al_are_those_of_their_equation_5() -> None:
    sigmas = grid(variance_exploding(karras), 18, "karras").sigma
    steps = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + steps / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(sigmas[:-1], expected)
    assert sigmas[-1] == 0
    # and so are those of another path, between its own ends
    levels = grid(LINEAR, 10, "karras")[:-1]
    roots = (levels.sigma / levels.alpha) ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(9))


def test_a_grid_in_the_log_snr_has_equal_steps_and_the_ends_of_the_path() -> None:
    levels = grid(LINEAR, 20, "log-snr")
    assert len(levels) == 21
    assert levels.time[[0, -2]].tolist() == pytest.approx([1, 0], abs=1e-12)
    assert [levels.alpha[-1].item(), levels.sigma[-1].item()] == [1, 0]
    widths = levels.log_snr[:-1].diff()
    torch.testing.assert_close(widths, widths[:1].expand(19))


@pytest.mark.parametrize("spacing", ["time", "log-snr", "karras"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_grid_of_few_steps_begins_with_noise_and_ends_with_the_image(spacing: str, steps: int) -> None:
    levels = grid(LINEAR, steps, spacing)  # type: ignore[arg-type]
    assert len(levels) == steps + 1
    assert levels.time[0] == pytest.approx(1, abs=1e-12)
    assert levels.sigma[-1] == 0
    assert (levels.sigma.diff() < 0).all()


def test_numbers_of_levels_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="a chain of 1 levels: expected at least 2"):
        chain(LINEAR, 1)
    with pytest.raises(ValueError, match="steps is 0, expected at least 1"):
        grid(LINEAR, 0, "time")


@given(st.floats(0.0, 1.0))
def test_times_are_found_by_their_log_snr(time: float) -> None:
    wanted = torch.tensor([time], dtype=torch.float64)
    torch.testing.assert_close(time_of(LINEAR, LINEAR(wanted).log_snr), wanted, rtol=0, atol=1e-10)
    assert time_of(LINEAR, torch.tensor([1e3, -1e3], dtype=torch.float64)).tolist() == pytest.approx([0, 1], abs=1e-12)


# --- parameterizations


def pair(path: object) -> tuple[Tensor, Tensor, Level]:
    """Return images, noise and one level for each, of a path that is not at its ends."""
    source = torch.Generator().manual_seed(0)
    images, noise = torch.rand(2, 5, 1, 3, 3, generator=source, dtype=torch.float64) * 2 - 1
    return images, noise, path(torch.linspace(0.01, 0.99, 5))  # type: ignore[operator]


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
@pytest.mark.parametrize("path", [LINEAR, variance_exploding(karras), straight])
def test_an_output_means_the_image_it_was_made_of(name: str, path: object) -> None:
    images, noise, level = pair(path)
    noisy = noised(images, noise, level)
    kind = PARAMETERIZATIONS[name]
    torch.testing.assert_close(image_of(output_of(images, noisy, level, kind), noisy, level, kind), images)
    torch.testing.assert_close(noise_of(images, noisy, level), noise)


def test_the_targets_are_those_of_the_papers() -> None:
    # trap 14: input and target come from one draw of noise, since the target is computed from the input
    images, noise, level = pair(LINEAR)
    noisy, at = noised(images, noise, level), level.of(images)

    def target(name: str) -> Tensor:
        return output_of(images, noisy, level, PARAMETERIZATIONS[name])

    torch.testing.assert_close(target("noise"), noise)
    torch.testing.assert_close(target("image"), images)
    torch.testing.assert_close(target("v"), at.alpha * noise - at.sigma * images)
    images, noise, level = pair(straight)
    noisy = noised(images, noise, level)
    torch.testing.assert_close(target("velocity"), noise - images)


def test_the_velocity_is_the_time_derivative_of_the_straight_path() -> None:
    images, noise, level = pair(straight)
    later = straight(level.time + 1e-6)
    slope = (noised(images, noise, later) - noised(images, noise, level)) / 1e-6
    found = output_of(images, noised(images, noise, level), level, parameterizations.velocity)
    torch.testing.assert_close(found, slope, rtol=1e-6, atol=1e-8)


def test_preconditioning_is_that_of_karras_et_al_and_gives_unit_variance() -> None:
    sigma = torch.tensor([0.002, 0.3, 0.5, 4.0, 80.0], dtype=torch.float64)
    level = Level(sigma, torch.ones_like(sigma), sigma)
    factors = parameterizations.edm(level)
    torch.testing.assert_close(factors.skip, 0.25 / (sigma**2 + 0.25))  # c_skip, table 1
    torch.testing.assert_close(factors.scale, sigma * 0.5 / (0.25 + sigma**2).sqrt())  # c_out
    torch.testing.assert_close(parameterizations.input_scale(level), 1 / (sigma**2 + 0.25).sqrt())  # c_in
    # the target (image - skip * noisy) / scale of images of variance 1/4, and the scaled input
    for at in (level, LINEAR(TIMES)):
        found = parameterizations.edm(at)
        variance = ((1 - found.skip * at.alpha) ** 2 * 0.25 + (found.skip * at.sigma) ** 2) / found.scale**2
        torch.testing.assert_close(variance, torch.ones_like(variance), rtol=1e-7, atol=1e-7)
        scaled = parameterizations.input_scale(at) ** 2 * (0.25 * at.alpha**2 + at.sigma**2)
        torch.testing.assert_close(scaled, torch.ones_like(scaled))


# --- weights


def test_weights_are_unweighted_errors_of_the_output_they_belong_to() -> None:
    levels = LINEAR(TIMES)
    ones = torch.ones_like(levels.time)
    pairs = ((weights.simple, parameterizations.noise), (weights.edm, parameterizations.edm))
    for weight, kind in (*pairs, (weights.straight, parameterizations.velocity)):
        torch.testing.assert_close(weights.of_output(weight(levels), kind(levels)), ones)
    path = straight(TIMES[1:])
    torch.testing.assert_close(weights.of_output(weights.straight(path), parameterizations.velocity(path)), ones[1:])


def test_the_weight_of_min_snr_is_that_of_hang_et_al() -> None:
    levels = LINEAR(TIMES)
    noise_weight = weights.of_output(weights.min_snr(levels), parameterizations.noise(levels))
    torch.testing.assert_close(noise_weight, (5 / levels.snr).clamp_max(1))  # min(SNR, 5) / SNR for the noise
    v_weight = weights.of_output(weights.min_snr(levels), parameterizations.v(levels))
    torch.testing.assert_close(v_weight, levels.snr.clamp_max(5) / (levels.snr + 1))  # their section 3.4


# --- variances


@pytest.mark.parametrize("count", [10, 50, 1000])
def test_variances_of_a_step_are_those_of_the_discrete_chain(count: int) -> None:
    levels = chain(LINEAR, count)
    here, there = levels[1:], levels[:-1]
    kept, before = (here.alpha / there.alpha) ** 2, there.alpha**2
    beta = 1 - kept
    torch.testing.assert_close(step_variance(here, there), beta)
    torch.testing.assert_close(log_kept(here, there).exp(), kept)
    torch.testing.assert_close(widest_variance(here, there), beta)
    torch.testing.assert_close(posterior_variance(here, there), (1 - before) / (1 - here.alpha**2) * beta)  # Ho et al., eq. 7


def test_the_learned_variance_is_interpolated_in_the_logarithm() -> None:
    # trap 13: Nichol & Dhariwal 2021, eq. 15
    levels = chain(LINEAR, 50)
    here, there = levels[20], levels[10]  # a step that leaves nine out
    beta, tilde = widest_variance(here, there), posterior_variance(here, there)
    for share in (0.0, 0.3, 1.0):
        found = learned_log_variance(torch.tensor([share], dtype=torch.float64), here, there).exp()
        torch.testing.assert_close(found, (beta**share * tilde ** (1 - share))[None])
    linearly = 0.5 * beta + 0.5 * tilde
    assert abs(learned_log_variance(torch.tensor(0.5), here, there).exp() / linearly - 1) > 1e-3
