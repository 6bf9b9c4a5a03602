"""Average velocities of Gaussian data, whose flow is a scaling: the limit of the target, and steps of any length."""

import pytest
import torch

from simulacra.diffusion.average_velocity import (
    average_velocity_target,
    drawn_ends,
    error_weights,
    intermediate_times,
    moved,
    share_of_step,
)
from simulacra.diffusion.noise_levels import straight_path
from simulacra.diffusion.samplers import DenoiserOutput, no_noise, sample_average
from simulacra.diffusion.schedules import sampling_levels

STD = 0.3  # of the data
NOISY = torch.linspace(-2, 2, 9, dtype=torch.float64)


def spread(time):
    return ((1 - time) ** 2 * STD**2 + time**2).sqrt()


def average(noisy, ends, times):
    """Return u(z_t; r, t) of the flow z_r = z_t spread(r) / spread(t)."""
    return noisy * (1 - spread(ends) / spread(times)) / (times - ends)


def expected_velocity(noisy, times):
    """Return E[noise - image | noisy image]."""
    return noisy * (times - (1 - times) * STD**2) / spread(times) ** 2


def deviation(share):
    """Return the largest difference of the expected target from u(z_t; r, t); u is linear, so its mean is at the mean of z_s."""
    times, ends = torch.full_like(NOISY, 0.9), torch.full_like(NOISY, 0.2)
    velocity = expected_velocity(NOISY, times)
    between = intermediate_times(times, ends, share)
    rest = average(moved(NOISY, velocity, times, between), ends, between)
    return (average_velocity_target(velocity, rest, share) - average(NOISY, ends, times)).abs().max().item()


def test_the_error_of_the_target_decreases_with_the_share():
    assert deviation(0.05) < 0.06 * deviation(0.9)
    assert deviation(1e-4) / deviation(2e-4) == pytest.approx(0.25, rel=0.01)  # of second order in the share


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_of_any_length_are_exact(steps):
    def denoiser(noisy, level):
        return DenoiserOutput(noisy - level.time * average(noisy, level.end, level.time))

    found = sample_average(denoiser, NOISY, sampling_levels(straight_path, steps, "time"), no_noise)
    torch.testing.assert_close(found, STD * NOISY)


def test_the_share_decreases_from_one():
    shares = [share_of_step(done / 100) for done in range(101)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (1, 0.05)


def test_half_of_the_images_have_steps_of_no_length():
    times = torch.linspace(0, 1, 64, dtype=torch.float64)
    ends = drawn_ends(times)
    assert torch.equal(ends[::2], times[::2])
    assert ((ends >= 0) & (ends <= times)).all()
    assert (ends[1::2] < times[1::2]).all()


def test_weights_are_inverse_to_the_errors():
    errors = torch.tensor([0.0, 0.999], requires_grad=True)
    weights = error_weights(errors)
    torch.testing.assert_close(weights, torch.tensor([1000.0, 1.0]))
    assert not weights.requires_grad
