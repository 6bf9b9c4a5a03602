"""Samplers against a law whose flow and whose variances are known in closed form (trap 12)."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from tests.diffusion.mixture import Mixture
from torch import Tensor

from simulacra.diffusion.guidance import guided
from simulacra.diffusion.noise_levels import Level, Path, straight, variance_exploding, variance_preserving
from simulacra.diffusion.samplers import (
    SAMPLERS,
    Denoiser,
    Estimate,
    Walk,
    ancestral,
    ddim,
    euler,
    heun,
    nothing,
    sample_dpmpp_2m,
)
from simulacra.diffusion.schedules import cosine, grid, karras, linear

LINEAR = variance_preserving(linear)
PATHS: dict[str, Path] = {
    "linear": LINEAR,
    "cosine": variance_preserving(cosine),
    "karras": variance_exploding(karras),
    "straight": straight,
}
DETERMINISTIC: dict[str, tuple[Walk, int]] = {
    "ddim": (ddim, 1),
    "euler": (euler, 1),
    "heun": (heun, 2),
    "dpm": (sample_dpmpp_2m, 2),
}
QUANTILES = torch.special.ndtri(torch.linspace(0.02, 0.98, 25, dtype=torch.float64)).view(-1, 1, 1, 1)


def between(path: Path, first: float, last: float, steps: int) -> Level:
    """Return steps + 1 levels between two times, equally far apart in time."""
    return path(torch.linspace(first, last, steps + 1, dtype=torch.float64))


def errors(walk: Walk, path: Path, law: Mixture, ends: tuple[float, float], counts: tuple[int, ...]) -> list[float]:
    """Return the largest error over the quantiles of the law for each number of steps, against the exact flow."""
    found = []
    for steps in counts:
        levels = between(path, *ends, steps)
        start = QUANTILES * (levels.alpha[0] ** 2 + levels.sigma[0] ** 2).sqrt()
        walked = walk(law.denoise, start, levels, nothing)
        found.append((walked - law.carried(start, levels[0], levels[-1])).abs().max().item())
    return found


# --- the order of deterministic samplers


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", ["linear", "cosine", "straight"])
def test_halving_the_steps_divides_the_error_by_two_to_the_order(name: str, path: str) -> None:
    walk, order = DETERMINISTIC[name]
    counts = (80, 160, 320, 640)
    found = errors(walk, PATHS[path], Mixture(), (0.9, 0.1), counts)
    slopes = [math.log2(before / after) for before, after in pairwise(found)]
    assert slopes[-1] == pytest.approx(order, abs=0.15), (found, slopes)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", PATHS)
def test_deterministic_samplers_follow_the_flow_from_noise_to_image(name: str, path: str) -> None:
    walk, order = DETERMINISTIC[name]
    last = 0.3 if path == "karras" else 0.02
    (error,) = errors(walk, PATHS[path], Mixture(), (1.0, last), (300,))
    assert error < {1: 0.06, 2: 0.004}[order]


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_deterministic_sampler_returns_along_the_same_levels(name: str) -> None:
    walk, order = DETERMINISTIC[name]
    images = torch.linspace(-0.8, 0.8, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    errors_found = []
    for steps in (50, 100):
        levels = between(LINEAR, 1.0, 0.05, steps)
        noisy = walk(Mixture().denoise, images, levels.reversed(), nothing)
        errors_found.append((walk(Mixture().denoise, noisy, levels, nothing) - images).abs().max().item())
    assert errors_found[1] < {1: 0.06, 2: 0.003}[order]
    assert errors_found[0] / errors_found[1] > 0.85 * 2**order


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("path", PATHS)
def test_a_known_image_is_reached_in_any_number_of_steps(name: str, path: str) -> None:
    # where the denoiser always says the same image, all of the flow is a straight line
    image = torch.tensor(0.3, dtype=torch.float64)
    for steps in (1, 2, 7):
        levels = grid(PATHS[path], steps, "time")
        walked = DETERMINISTIC[name][0](lambda noisy, _: Estimate(image.expand_as(noisy)), QUANTILES, levels, nothing)
        torch.testing.assert_close(walked, image.expand_as(QUANTILES))


def test_euler_is_ddim_without_noise_and_in_the_coordinates_of_karras_et_al() -> None:
    law = Mixture()
    levels = grid(LINEAR, 12, "karras")
    torch.testing.assert_close(euler(law.denoise, QUANTILES, levels, nothing), ddim(law.denoise, QUANTILES, levels, nothing))
    exploding = grid(variance_exploding(karras), 12, "karras")
    noisy = QUANTILES * exploding.sigma[0]
    for here, there in pairwise(exploding):  # their algorithm 1 without its second half
        noisy = noisy + (there.sigma - here.sigma) * (noisy - law.denoise(noisy, here).image) / here.sigma
    torch.testing.assert_close(euler(law.denoise, QUANTILES * exploding.sigma[0], exploding, nothing), noisy)


def test_a_step_of_dpm_solver_is_that_of_its_paper() -> None:
    law, levels = Mixture(), between(LINEAR, 0.8, 0.2, 2)
    (s, t, u), half = levels, 0.5 * levels.log_snr  # lambda of Lu et al. (2022)
    first = law.denoise(QUANTILES, s).image
    h = half[1] - half[0]
    middle = t.sigma / s.sigma * QUANTILES - t.alpha * (torch.exp(-h) - 1) * first
    second = law.denoise(middle, t).image
    k = half[2] - half[1]
    r = h / k
    d = (1 + 1 / (2 * r)) * second - 1 / (2 * r) * first
    expected = u.sigma / t.sigma * middle - u.alpha * (torch.exp(-k) - 1) * d  # algorithm 2
    torch.testing.assert_close(sample_dpmpp_2m(law.denoise, QUANTILES, levels, nothing), expected)


# --- random samplers


def ideal(std: float) -> Denoiser:
    """Return the ideal denoiser of images that are N(0, std^2)."""
    return lambda noisy, level: Estimate(noisy * (level.alpha * std**2 / ((level.alpha * std) ** 2 + level.sigma**2)))


def variance_of(levels: Level, std: float, fresh: Callable[[Level, Level], Tensor]) -> float:
    """Return the variance that a chain ends with whose images are N(0, std^2), by a recursion in scalars.

    With the ideal denoiser image = gain * noisy, and a step that keeps what the fresh noise leaves of the noise found.
    """
    variance = 1.0
    for here, there in pairwise(levels):
        gain = here.alpha * std**2 / ((here.alpha * std) ** 2 + here.sigma**2)
        new = fresh(here, there)
        factor = there.alpha * gain + (there.sigma**2 - new).sqrt() * (1 - here.alpha * gain) / here.sigma
        variance = float(factor**2 * variance + new)
    return variance


def beta_tilde(here: Level, there: Level) -> Tensor:
    """Return Ho et al. (2020), eq. 7, in terms of alpha-bar."""
    return (1 - there.alpha**2) / (1 - here.alpha**2) * (1 - here.alpha**2 / there.alpha**2)


@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_the_variance_of_strided_ddpm_sampling_is_that_of_its_closed_form(steps: int) -> None:
    # trap 12. n = 5,000: the standard error of a variance is its sqrt(2 / n) = 2 %; 5.5 of them miss once in 2.6e7 (two-sided)
    std, count = 0.5, 5000
    levels = grid(LINEAR, steps, "time")
    source = torch.Generator().manual_seed(steps)

    def draw() -> Tensor:
        return torch.randn(count, 1, 1, 1, generator=source, dtype=torch.float64)

    for walk, eta in ((ancestral, 0.0), (ddim, 1.0)):
        found = walk(ideal(std), draw(), levels, draw, eta=eta).var().item()
        expected = variance_of(levels, std, beta_tilde)
        assert found == pytest.approx(expected, rel=5.5 * math.sqrt(2 / count))
    # the closed form itself: less variance than the law's with few steps, all of it with many
    assert expected == pytest.approx({10: 0.1112, 50: 0.1972, 1000: 0.2461}[steps], rel=1e-3)


def test_a_step_from_the_level_before_instead_of_the_one_kept_has_another_variance() -> None:
    # the fault of trap 12 is seen: fifty steps with the variances of a chain of a thousand
    levels = grid(LINEAR, 50, "time")
    right = variance_of(levels, 0.5, beta_tilde)
    wrong = variance_of(
        levels, 0.5, lambda here, there: beta_tilde(here, LINEAR((here.time - 0.001).clamp_min(0))) * (there.sigma > 0)
    )
    assert abs(wrong / right - 1) > 0.1


def test_ddim_with_all_noise_fresh_is_ancestral_sampling() -> None:
    law, levels = Mixture(), grid(LINEAR, 20, "time")

    def stream() -> Callable[[], Tensor]:
        source = torch.Generator().manual_seed(3)
        return lambda: torch.randn(QUANTILES.shape, generator=source, dtype=torch.float64)

    torch.testing.assert_close(
        ddim(law.denoise, QUANTILES, levels, stream(), eta=1.0), ancestral(law.denoise, QUANTILES, levels, stream())
    )


def test_an_ancestral_step_with_a_learned_share_has_the_variance_of_nichol_and_dhariwal() -> None:
    here, there = levels = between(LINEAR, 0.6, 0.5, 1)
    ones = torch.ones_like(QUANTILES)
    walked = [
        ancestral(lambda noisy, _, s=share: Estimate(0 * noisy, s * ones), 0 * ones, levels, lambda: ones)[0].item()  # type: ignore[misc]
        for share in (0.0, 0.5, 1.0)
    ]
    beta, tilde = 1 - (here.alpha / there.alpha) ** 2, beta_tilde(here, there)
    assert [value**2 for value in walked] == pytest.approx([tilde.item(), (beta * tilde).sqrt().item(), beta.item()])


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_makes_the_law_of_noise(name: str) -> None:
    # trap 16's kind of fault: a sampler that runs but ends elsewhere. 4,000 draws, 60 steps; shares of components within 0.05,
    # which is 7 standard errors (false positives below 1e-9)
    law, source = Mixture(), torch.Generator().manual_seed(1)

    def draw() -> Tensor:
        return torch.randn(4000, 1, 1, 1, generator=source, dtype=torch.float64)

    sampler = SAMPLERS[name]
    images = sampler.walk(law.denoise, draw(), grid(LINEAR, 60, sampler.spacing), draw if sampler.random else nothing)
    left = images[images < -0.1]
    assert len(left) / 4000 == pytest.approx(0.3, abs=0.05)
    assert left.mean() == pytest.approx(-0.6, abs=0.04)
    assert left.std() == pytest.approx(0.15, abs=0.04)


@pytest.mark.parametrize("name", SAMPLERS)
def test_single_precision_is_kept_and_no_level_without_noise_is_denoised(name: str) -> None:
    calls: list[Level] = []

    def denoise(noisy: Tensor, level: Level) -> Estimate:
        calls.append(level)
        return Estimate(0.5 * noisy)

    sampler = SAMPLERS[name]
    noisy = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images = sampler.walk(denoise, noisy, grid(LINEAR, 5, sampler.spacing), lambda: torch.ones_like(noisy))
    assert images.dtype == torch.float32
    assert all(level.sigma > 0 for level in calls)
    assert len(calls) == 5 * sampler.evaluations - (sampler.evaluations - 1)


def test_guidance_goes_from_the_unconditional_estimate_through_the_conditional_one() -> None:
    conditional, unconditional = torch.tensor([2.0]), torch.tensor([1.0])
    assert [guided(conditional, unconditional, w).item() for w in (0.0, 1.0, 3.0)] == [1.0, 2.0, 4.0]
    # with w = guidance - 1, of noises: (1 + w) eps(x, c) - w eps(x) (Ho & Salimans 2022, eq. 6)
    assert guided(conditional, unconditional, 3.0).item() == (1 + 2) * 2.0 - 2 * 1.0
