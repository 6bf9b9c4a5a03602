"""Average velocities of Gaussian data, whose flow is a scaling: the identity of two halves, and steps of any length."""

import pytest
import torch

from simulacra.diffusion.average_velocity import MOST_STEPS, drawn_steps, halved_step
from simulacra.diffusion.noise_levels import straight_path
from simulacra.diffusion.samplers import DenoiserOutput, no_noise, sample_average
from simulacra.diffusion.schedules import sampling_levels

STD = 0.3  # of the data
NOISY = torch.linspace(-2, 2, 9, dtype=torch.float64)


def spread(time):
    return ((1 - time) ** 2 * STD**2 + time**2).sqrt()


def average(noisy, times, ends):
    """Return u(z_t; r, t) of the flow z_r = z_t spread(r) / spread(t), at r = t its velocity E[noise - image | z_t]."""
    velocity = noisy * (times - (1 - times) * STD**2) / spread(times) ** 2
    return torch.where(times > ends, noisy * (1 - spread(ends) / spread(times)) / (times - ends), velocity)


def deviation(length):
    """Return the largest difference of the target of steps of a length from their average velocity."""
    times = torch.full_like(NOISY, 0.3 + length)
    ends = times - length
    return (halved_step(average, NOISY, times, ends) - average(NOISY, times, ends)).abs().max().item()


@pytest.mark.parametrize("length", [0.7, 1 / 3, 2 / MOST_STEPS])
def test_two_halves_have_the_average_velocity_of_the_step(length):
    assert deviation(length) < 1e-13


def test_the_shortest_steps_are_two_steps_of_the_velocity():
    def velocity(noisy, times, ends):
        assert torch.equal(times, ends)
        return average(noisy, times, ends)

    times = torch.full_like(NOISY, 0.5)
    middle = times - 0.5 / MOST_STEPS
    first = average(NOISY, times, times)
    second = average(NOISY - 0.5 / MOST_STEPS * first, middle, middle)
    found = halved_step(velocity, NOISY, times, times - 1 / MOST_STEPS)
    torch.testing.assert_close(found, (first + second) / 2)
    assert 0 < deviation(1 / MOST_STEPS) < 0.1 * deviation(1.99 / MOST_STEPS) * MOST_STEPS


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_of_any_length_are_exact(steps):
    def denoiser(noisy, level):
        return DenoiserOutput(noisy - level.time * average(noisy, level.time, level.end))

    found = sample_average(denoiser, NOISY, sampling_levels(straight_path, steps, "time"), no_noise)
    torch.testing.assert_close(found, STD * NOISY)


def test_steps_have_the_lengths_of_a_few_equal_steps_in_unit_time():
    torch.manual_seed(0)
    times, ends = drawn_steps(20_000)
    assert times.dtype == ends.dtype == torch.float64
    assert ends.min() >= 0
    assert times.max() <= 1 + 1e-15
    counts = (1 / (times - ends)).round().long().bincount(minlength=MOST_STEPS + 1)[1:]
    torch.testing.assert_close(1 / (1 / (times - ends)).round(), times - ends)
    shares = 1 / torch.arange(1, MOST_STEPS + 1, dtype=torch.float64)
    expected = shares / shares.sum()
    assert ((counts / counts.sum() - expected).abs() < 5 * (expected / 20_000).sqrt()).all()
    whole = times - ends == 1
    assert (times[whole] == 1).all()
    halves = ends[((times - ends) - 0.5).abs() < 1e-9]
    assert halves.mean().item() == pytest.approx(0.25, abs=0.01)
