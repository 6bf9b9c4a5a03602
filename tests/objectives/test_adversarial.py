"""Losses of adversarial games and penalties on slopes: closed forms, gradients, and references in float64 (traps 8 and 30)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from simulacra.objectives import adversarial
from simulacra.objectives.adversarial import CRITERIA, verdict
from simulacra.objectives.gradient_penalty import gradient_penalty, squared_slopes, zero_centered_penalty

SIDE = 4
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def gradient(loss: Tensor, along: Tensor) -> float:
    return torch.autograd.grad(loss, along)[0].item()


# --- losses


@given(logits, logits, st.floats(0, 0.5))
def test_the_minimax_loss_is_the_cross_entropy_of_probabilities(real: list[float], fake: list[float], smoothing: float) -> None:
    right, wrong = 1 / (1 + np.exp(-np.array(real))), 1 / (1 + np.exp(-np.array(fake)))
    target = 1 - smoothing
    entropy = -target * np.log(right) - smoothing * np.log1p(-right)
    expected = entropy.mean() - np.log1p(-wrong).mean()
    got = adversarial.minimax_discriminator_loss(tensor(real), tensor(fake), smoothing).item()
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-9)  # 1 - sigmoid(20) keeps eight digits in float64


def test_an_undecided_discriminator_has_a_loss_of_two_log_two() -> None:
    zero = torch.zeros(3)
    assert adversarial.minimax_discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert adversarial.non_saturating_generator_loss(zero).item() == pytest.approx(math.log(2))
    assert adversarial.saturating_generator_loss(zero).item() == pytest.approx(-math.log(2))


def test_only_the_saturating_loss_is_flat_where_the_discriminator_is_sure() -> None:
    fake = torch.tensor([-20.0], requires_grad=True)
    assert gradient(adversarial.non_saturating_generator_loss(fake), fake) == pytest.approx(-1)
    assert gradient(adversarial.saturating_generator_loss(fake), fake) == pytest.approx(-math.exp(-20), rel=1e-3)


@pytest.mark.parametrize("name", [name for name, criterion in CRITERIA.items() if criterion.smooths])
def test_smoothing_moves_the_target_of_real_images_and_leaves_that_of_fakes(name: str) -> None:
    # trap 30: the best logit for a lone real image is that of the target 0.9; the loss of fakes does not change at all
    loss, best = CRITERIA[name].discriminator, math.log(0.9 / 0.1) if CRITERIA[name].boundary == 0 else 0.9
    real, fake = torch.tensor([best], requires_grad=True), torch.tensor([0.7], requires_grad=True)
    assert gradient(loss(real, fake, 0.1), real) == pytest.approx(0, abs=1e-6)
    assert gradient(loss(real, fake, 0.1), fake) == gradient(loss(real, fake, 0.0), fake)


@given(logits, logits)
def test_the_hinge_is_that_of_the_paper_and_flat_beyond_the_margin(real: list[float], fake: list[float]) -> None:
    expected = np.maximum(0, 1 - np.array(real)).mean() + np.maximum(0, 1 + np.array(fake)).mean()
    assert adversarial.hinge_discriminator_loss(tensor(real), tensor(fake)).item() == pytest.approx(expected)
    sure = torch.tensor([1.5], requires_grad=True)
    assert gradient(adversarial.hinge_discriminator_loss(sure, -sure.detach()), sure) == 0


@given(logits, logits)
def test_least_squares_and_wasserstein_are_those_of_the_papers(real: list[float], fake: list[float]) -> None:
    right, wrong = np.array(real), np.array(fake)
    squares = 0.5 * ((right - 1) ** 2).mean() + 0.5 * (wrong**2).mean()
    assert adversarial.least_squares_discriminator_loss(tensor(real), tensor(fake)).item() == pytest.approx(squares)
    squares = 0.5 * ((wrong - 1) ** 2).mean()
    assert adversarial.least_squares_generator_loss(tensor(fake)).item() == pytest.approx(squares)
    distance = right.mean() - wrong.mean()
    assert adversarial.wasserstein_critic_loss(tensor(real), tensor(fake)).item() == pytest.approx(-distance)
    assert adversarial.wasserstein_generator_loss(tensor(fake)).item() == pytest.approx(-wrong.mean())


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
def test_every_pair_pulls_apart_for_the_discriminator_and_up_for_the_generator(criterion: adversarial.Criterion) -> None:
    real, fake = torch.tensor([0.2], requires_grad=True), torch.tensor([0.3], requires_grad=True)
    assert gradient(criterion.discriminator(real, fake, 0.0), real) < 0
    assert gradient(criterion.discriminator(real, fake, 0.0), fake) > 0
    assert gradient(criterion.generator(fake), fake) < 0


def test_losses_of_extreme_logits_are_finite() -> None:
    for criterion in CRITERIA.values():
        for value in (-1e4, 1e4):
            extreme = torch.full((2,), value)
            assert torch.isfinite(criterion.discriminator(extreme, extreme, 0.0))
            assert torch.isfinite(criterion.generator(extreme))


def test_the_verdict_counts_right_answers_on_either_side_of_the_boundary() -> None:
    parts = verdict(torch.tensor([1.0, 2.0, 0.2, -1.0]), torch.tensor([0.4, -3.0]), 0.5)
    assert {name: round(value.item(), 4) for name, value in parts.items()} == {
        "real_logit": 0.55,
        "fake_logit": -1.3,
        "real_accuracy": 0.5,
        "fake_accuracy": 1.0,
    }
    assert set(verdict(torch.zeros(1), torch.zeros(1), None)) == {"real_logit", "fake_logit"}


def test_saturation_is_the_share_of_fakes_that_the_discriminator_is_certain_of() -> None:
    fake = torch.tensor([-9.0, -4.7, -4.5, 3.0])  # D is 0.01 at a logit of -log 99 = -4.595
    minimax, hinge = CRITERIA["saturating"], CRITERIA["hinge"]
    assert verdict(fake, fake, minimax.boundary, minimax.certain)["saturation"] == 0.5
    assert verdict(fake, fake, hinge.boundary, hinge.certain)["saturation"] == 0.75
    assert CRITERIA["least-squares"].certain is None


def test_a_certain_discriminator_teaches_the_minimax_generator_a_hundredth_of_the_other() -> None:
    certain = CRITERIA["saturating"].certain
    slopes = []
    for name in ("saturating", "non-saturating"):
        logit = torch.tensor([certain], requires_grad=True)
        CRITERIA[name].generator(logit).backward()
        assert logit.grad is not None
        slopes.append(logit.grad.item())
    assert slopes == pytest.approx([-0.01, -0.99], rel=1e-4)


# --- slopes


class Linear(nn.Module):
    """A critic whose slope is the same everywhere: the length of its weight."""

    def __init__(self, length: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, SIDE, SIDE), length / SIDE, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weight).sum((1, 2, 3))


def square(images: Tensor) -> Tensor:
    """Return half the squared length of each image: its slope is the length."""
    return 0.5 * (images**2).sum((1, 2, 3))


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [0.5, 1.0, 3.0])
def test_the_penalties_of_a_linear_critic_are_known_exactly_and_so_are_their_gradients(length: float) -> None:
    critic = Linear(length)
    penalty = gradient_penalty(critic, images(5, 0), images(5, 1))
    assert penalty.item() == pytest.approx((length - 1) ** 2)
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|, by differentiating twice
    (along,) = torch.autograd.grad(penalty, critic.weight)
    torch.testing.assert_close(along, 2 * (length - 1) * critic.weight.detach() / length)
    penalty = zero_centered_penalty(critic, images(5, 0))
    assert penalty.item() == pytest.approx(length**2 / 2)
    torch.testing.assert_close(torch.autograd.grad(penalty, critic.weight)[0], critic.weight.detach())


def test_slopes_are_those_of_each_image_alone() -> None:
    points = images(4, 2)
    torch.testing.assert_close(squared_slopes(square, points), (points**2).flatten(1).sum(1))


def test_a_flat_critic_has_a_finite_penalty_gradient() -> None:
    # trap 8: without an epsilon under the root this gradient is nan
    critic = Linear(0.0)
    penalty = gradient_penalty(critic, images(3, 0), images(3, 1))
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(torch.autograd.grad(penalty, critic.weight)[0]).all()


def test_the_points_lie_between_the_pairs_with_a_share_of_their_own_uniformly() -> None:
    # trap 8: one share for the whole batch, or a normal one. Real images are all 1 and fakes all 0, so that points show the share
    seen: list[Tensor] = []

    def watch(points: Tensor) -> Tensor:
        seen.append(points.detach())
        return square(points)

    count = 4000
    torch.manual_seed(0)
    gradient_penalty(watch, torch.ones(count, 1, SIDE, SIDE), torch.zeros(count, 1, SIDE, SIDE))
    shares = seen[0][:, 0, 0, 0]
    assert (seen[0] == shares[:, None, None, None]).all()
    assert 0 <= shares.min() < shares.max() < 1
    # Kolmogorov's statistic against the uniform distribution: above 2.7 / sqrt(n) with probability 2 exp(-2 * 2.7^2) = 1e-6
    steps = torch.arange(1, count + 1) / count
    assert (shares.sort().values - steps).abs().max() < 2.7 / math.sqrt(count) + 1 / count


def test_the_penalty_is_float32_under_autocast_and_reaches_no_image() -> None:
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
