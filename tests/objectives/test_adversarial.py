"""Adversarial losses and gradient penalties: closed forms, gradients, float64 references (traps 8 and 30)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from simulacra.objectives import adversarial
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES, discriminator_statistics
from simulacra.objectives.gradient_penalty import gradient_penalty, squared_gradient_norms, zero_centered_penalty

SIDE = 4
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def gradient(loss: Tensor, variable: Tensor) -> float:
    return torch.autograd.grad(loss, variable)[0].item()


# --- losses


@given(logits, logits, st.floats(0, 0.5))
def test_the_minimax_loss_is_the_cross_entropy_of_probabilities(real: list[float], fake: list[float], smoothing: float) -> None:
    real_probability, fake_probability = 1 / (1 + np.exp(-np.array(real))), 1 / (1 + np.exp(-np.array(fake)))
    target = 1 - smoothing
    entropy = -target * np.log(real_probability) - smoothing * np.log1p(-real_probability)
    expected = entropy.mean() - np.log1p(-fake_probability).mean()
    got = adversarial.minimax_discriminator_loss(tensor(real), tensor(fake), smoothing).item()
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-9)  # 1 - sigmoid(20) keeps eight digits in float64


def test_logits_of_zero_give_a_loss_of_two_log_two() -> None:
    zero = torch.zeros(3)
    assert adversarial.minimax_discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert adversarial.non_saturating_generator_loss(zero).item() == pytest.approx(math.log(2))
    assert adversarial.saturating_generator_loss(zero).item() == pytest.approx(-math.log(2))


def test_only_the_saturating_loss_has_a_vanishing_gradient_for_a_confident_discriminator() -> None:
    fake = torch.tensor([-20.0], requires_grad=True)
    assert gradient(adversarial.non_saturating_generator_loss(fake), fake) == pytest.approx(-1)
    assert gradient(adversarial.saturating_generator_loss(fake), fake) == pytest.approx(-math.exp(-20), rel=1e-3)


@pytest.mark.parametrize("name", [name for name, loss in ADVERSARIAL_LOSSES.items() if loss.supports_smoothing])
def test_smoothing_changes_the_target_of_real_images_only(name: str) -> None:
    # trap 30: the optimal logit of a real image corresponds to the target 0.9; the loss of generated images does not change
    loss, optimum = ADVERSARIAL_LOSSES[name].discriminator, math.log(0.9 / 0.1) if ADVERSARIAL_LOSSES[name].boundary == 0 else 0.9
    real, fake = torch.tensor([optimum], requires_grad=True), torch.tensor([0.7], requires_grad=True)
    assert gradient(loss(real, fake, 0.1), real) == pytest.approx(0, abs=1e-6)
    assert gradient(loss(real, fake, 0.1), fake) == gradient(loss(real, fake, 0.0), fake)


@given(logits, logits)
def test_the_hinge_loss_equals_the_papers_and_is_constant_beyond_the_margin(real: list[float], fake: list[float]) -> None:
    expected = np.maximum(0, 1 - np.array(real)).mean() + np.maximum(0, 1 + np.array(fake)).mean()
    assert adversarial.hinge_discriminator_loss(tensor(real), tensor(fake)).item() == pytest.approx(expected)
    confident = torch.tensor([1.5], requires_grad=True)
    assert gradient(adversarial.hinge_discriminator_loss(confident, -confident.detach()), confident) == 0


@given(logits, logits)
def test_least_squares_and_wasserstein_losses_equal_the_papers(real: list[float], fake: list[float]) -> None:
    real_logits, fake_logits = np.array(real), np.array(fake)
    squares = 0.5 * ((real_logits - 1) ** 2).mean() + 0.5 * (fake_logits**2).mean()
    assert adversarial.least_squares_discriminator_loss(tensor(real), tensor(fake)).item() == pytest.approx(squares)
    squares = 0.5 * ((fake_logits - 1) ** 2).mean()
    assert adversarial.least_squares_generator_loss(tensor(fake)).item() == pytest.approx(squares)
    distance = real_logits.mean() - fake_logits.mean()
    assert adversarial.wasserstein_critic_loss(tensor(real), tensor(fake)).item() == pytest.approx(-distance)
    assert adversarial.wasserstein_generator_loss(tensor(fake)).item() == pytest.approx(-fake_logits.mean())


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES.values(), ids=ADVERSARIAL_LOSSES)
def test_discriminators_separate_the_logits_and_generators_raise_them(loss: adversarial.AdversarialLoss) -> None:
    real, fake = torch.tensor([0.2], requires_grad=True), torch.tensor([0.3], requires_grad=True)
    assert gradient(loss.discriminator(real, fake, 0.0), real) < 0
    assert gradient(loss.discriminator(real, fake, 0.0), fake) > 0
    assert gradient(loss.generator(fake), fake) < 0


def test_losses_of_extreme_logits_are_finite() -> None:
    for loss in ADVERSARIAL_LOSSES.values():
        for value in (-1e4, 1e4):
            extreme = torch.full((2,), value)
            assert torch.isfinite(loss.discriminator(extreme, extreme, 0.0))
            assert torch.isfinite(loss.generator(extreme))


def test_statistics_contain_mean_logits_and_accuracies() -> None:
    parts = discriminator_statistics(torch.tensor([1.0, 2.0, 0.2, -1.0]), torch.tensor([0.4, -3.0]), 0.5)
    assert {name: round(value.item(), 4) for name, value in parts.items()} == {
        "real_logit": 0.55,
        "fake_logit": -1.3,
        "real_accuracy": 0.5,
        "fake_accuracy": 1.0,
    }
    assert set(discriminator_statistics(torch.zeros(1), torch.zeros(1), None)) == {"real_logit", "fake_logit"}


def test_saturation_is_the_fraction_of_generated_images_below_the_saturation_logit() -> None:
    fake = torch.tensor([-9.0, -4.7, -4.5, 3.0])  # D is 0.01 at a logit of -log 99 = -4.595
    minimax, hinge = ADVERSARIAL_LOSSES["saturating"], ADVERSARIAL_LOSSES["hinge"]
    assert discriminator_statistics(fake, fake, minimax.boundary, minimax.saturation_logit)["saturation"] == 0.5
    assert discriminator_statistics(fake, fake, hinge.boundary, hinge.saturation_logit)["saturation"] == 0.75
    assert ADVERSARIAL_LOSSES["least-squares"].saturation_logit is None


def test_at_the_saturation_logit_the_gradients_of_the_minimax_losses_are_0_01_and_0_99() -> None:
    saturation_logit = ADVERSARIAL_LOSSES["saturating"].saturation_logit
    gradients = []
    for name in ("saturating", "non-saturating"):
        logit = torch.tensor([saturation_logit], requires_grad=True)
        ADVERSARIAL_LOSSES[name].generator(logit).backward()
        assert logit.grad is not None
        gradients.append(logit.grad.item())
    assert gradients == pytest.approx([-0.01, -0.99], rel=1e-4)


# --- gradient penalties


class Linear(nn.Module):
    """A linear critic, whose gradient norm is `norm` everywhere."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, SIDE, SIDE), norm / SIDE, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weight).sum((1, 2, 3))


def square(images: Tensor) -> Tensor:
    """Return half the squared norm of each image, whose gradient norm is the norm of the image."""
    return 0.5 * (images**2).sum((1, 2, 3))


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_penalties_of_a_linear_critic_and_their_gradients_equal_closed_forms(norm: float) -> None:
    critic = Linear(norm)
    penalty = gradient_penalty(critic, images(5, 0), images(5, 1))
    assert penalty.item() == pytest.approx((norm - 1) ** 2)
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|, a second derivative
    (to_weight,) = torch.autograd.grad(penalty, critic.weight)
    torch.testing.assert_close(to_weight, 2 * (norm - 1) * critic.weight.detach() / norm)
    penalty = zero_centered_penalty(critic, images(5, 0))
    assert penalty.item() == pytest.approx(norm**2 / 2)
    torch.testing.assert_close(torch.autograd.grad(penalty, critic.weight)[0], critic.weight.detach())


def test_gradient_norms_are_computed_per_image() -> None:
    points = images(4, 2)
    torch.testing.assert_close(squared_gradient_norms(square, points), (points**2).flatten(1).sum(1))


def test_a_constant_critic_has_a_finite_penalty_gradient() -> None:
    # trap 8: without an epsilon under the root this gradient is nan
    critic = Linear(0.0)
    penalty = gradient_penalty(critic, images(3, 0), images(3, 1))
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(torch.autograd.grad(penalty, critic.weight)[0]).all()


def test_interpolation_weights_are_uniform_and_drawn_per_image() -> None:
    # trap 8: one weight for the whole batch, or a normal one. Real images are 1 and generated ones 0, so points equal the weight
    recorded: list[Tensor] = []

    def record(points: Tensor) -> Tensor:
        recorded.append(points.detach())
        return square(points)

    count = 4000
    torch.manual_seed(0)
    gradient_penalty(record, torch.ones(count, 1, SIDE, SIDE), torch.zeros(count, 1, SIDE, SIDE))
    weights = recorded[0][:, 0, 0, 0]
    assert (recorded[0] == weights[:, None, None, None]).all()
    assert 0 <= weights.min() < weights.max() < 1
    # Kolmogorov's statistic against the uniform distribution: above 2.7 / sqrt(n) with probability 2 exp(-2 * 2.7^2) = 1e-6
    steps = torch.arange(1, count + 1) / count
    assert (weights.sort().values - steps).abs().max() < 2.7 / math.sqrt(count) + 1 / count


def test_the_penalty_is_float32_under_autocast_and_passes_no_gradient_to_images() -> None:
    layer = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 1), nn.Flatten(0)).float()
    real, fake = images(3, 0).float().requires_grad_(), images(3, 1).float().requires_grad_()
    torch.manual_seed(1)
    exact = gradient_penalty(layer, real, fake)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = gradient_penalty(layer, real, fake)
    assert penalty.dtype == torch.float32
    assert torch.equal(penalty, exact)
    gradients = torch.autograd.grad(penalty, [real, fake], allow_unused=True)
    assert all(gradient is None for gradient in gradients)
