"""The training loop against float64: Adam, schedule, clipping, gradient accumulation and EMA together."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.config import Config
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn
from simulacra.engine import optimizers
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig

STEPS, BATCH = 20, 8


@dataclass(frozen=True)
class NoSettings(Config):
    """Nothing to set."""


class Target(Family):
    """Four weights that follow the mean image: loss |w - mean(images)|^2, gradient 2 (w - mean)."""

    Config = NoSettings
    summary = "a family of these tests"
    paper = "none"

    def __init__(self, config: NoSettings, data: DataSpec) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, -1.0, 0.5, 0.0]))

    def players(self) -> dict[str, nn.Module]:
        return {"only": self}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(lambda batch: {"only": Loss((batch.images.flatten(1) - self.weight).square().sum(1).mean())}),)


class Numbered:
    """Batch i, always the same."""

    size, per_epoch = BATCH, 5

    def batch(self, number: int, device: torch.device | str = "cpu") -> Batch:
        return Batch(torch.rand(BATCH, 1, 2, 2, generator=torch.Generator().manual_seed(number)).to(device))


def trainer(**settings: object) -> Trainer:
    values = {"duration": str(STEPS), "batch": BATCH, "precision": "float32", "device": "cpu", "warmup": 0.25, **settings}
    return Trainer(Target(NoSettings(), DataSpec(1, 2, 2)), Numbered(), TrainConfig.of(values))


def weight_of(family: Family) -> NDArray[np.float64]:
    (weight,) = family.parameters()
    return weight.detach().double().numpy()


def gradients_of(training: Trainer) -> list[Tensor]:
    """Return a list that fills with the gradient of every step, as the optimizer sees it."""
    seen: list[Tensor] = []
    (weight,) = training.family.parameters()

    def record(*_: object) -> None:
        assert weight.grad is not None
        seen.append(weight.grad.clone())

    step = training.optimizers["only"].step

    def record_and_step() -> None:
        record()
        step()

    training.optimizers["only"].step = record_and_step  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_training_equals_adam_with_schedule_clipping_and_ema_in_float64(optimizer: str) -> None:
    lr, clip, decay, weight_decay, betas, ema = 0.1, 0.5, 0.999, 0.03, (0.8, 0.95), 0.7
    training = trainer(optimizer=optimizer, lr=lr, clip=clip, ema=ema, weight_decay=weight_decay, beta1=betas[0], beta2=betas[1])
    weight = weight_of(training.family).copy()
    average, first, second = weight.copy(), np.zeros(4), np.zeros(4)
    for step in range(STEPS):
        training.play()
        done = (step + 0.5) / STEPS
        rate = lr * (done / 0.25 if done < 0.25 else (1 + math.cos(math.pi * (done - 0.25) / 0.75)) / 2)
        images = Numbered().batch(step).images.double().flatten(1).numpy()
        gradient = 2 * (weight - images.mean(0))
        gradient *= min(1.0, clip / np.linalg.norm(gradient))
        if optimizer == "adamw":
            weight = weight * (1 - rate * weight_decay)
        else:
            gradient = gradient + weight_decay * weight
        first, second = betas[0] * first + (1 - betas[0]) * gradient, betas[1] * second + (1 - betas[1]) * gradient**2
        corrected = [moment / (1 - beta ** (step + 1)) for moment, beta in ((first, betas[0]), (second, betas[1]))]
        weight = weight - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        decay = min(ema, (2 + step) / (11 + step))
        average = decay * average + (1 - decay) * weight
    # float32 throughout 20 steps of at most 0.1: 20 * 2^-24 * 2, with room for the clipping's epsilon of 1e-6
    np.testing.assert_allclose(weight_of(training.family), weight, atol=1e-5)
    np.testing.assert_allclose(weight_of(training.evaluated), average, atol=1e-5)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_a_batch_computed_in_micro_batches_gives_the_gradient_and_the_losses_of_the_whole(count: int) -> None:
    whole, parts = trainer(), trainer(accumulate=count)
    expected, got = gradients_of(whole), gradients_of(parts)
    for _ in range(3):
        whole.play()
        parts.play()
    torch.testing.assert_close(torch.stack(got), torch.stack(expected), rtol=1e-4, atol=1e-6)
    assert parts.report()["only/loss"] == pytest.approx(whole.report()["only/loss"], rel=1e-5)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_optimizer_gives_the_bits_of_pytorchs_fused_one_also_after_a_resume(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    settings = TrainConfig.of({"optimizer": kind, "lr": 0.01, "weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95})
    ours, stock = (nn.Conv2d(2, 3, 3) for _ in range(2))
    stock.load_state_dict(ours.state_dict())
    stock_kind = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    expected = stock_kind(stock.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.1, fused=True)
    optimizer = optimizers.Adam(optimizers.parameters(ours), settings)
    for step in range(6):
        for mine, theirs in zip(ours.parameters(), stock.parameters(), strict=True):
            mine.grad = None if step == 1 and mine.ndim == 1 else torch.randn(mine.shape, generator=generator)
            theirs.grad = None if mine.grad is None else mine.grad.clone()
        optimizer.rate = expected.param_groups[0]["lr"] = 0.01 / (step + 1)
        optimizer.step()
        expected.step()
        if step == 3:
            stored = optimizers.state({"ours": ours}, {"ours": optimizer})
            optimizer = optimizers.Adam(optimizers.parameters(ours), settings)
            optimizers.restore({"ours": ours}, {"ours": optimizer}, stored)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(ours.parameters(), stock.parameters(), strict=True))
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_clipping_shortens_a_long_gradient_and_leaves_its_direction_and_short_ones_alone() -> None:
    free, clipped, loose = trainer(), trainer(clip=0.5), trainer(clip=1e3)
    seen = [gradients_of(training) for training in (free, clipped, loose)]
    for training in (free, clipped, loose):
        training.play()
    (gradient,), (short,), (same,) = seen
    assert gradient.norm() > 0.5
    torch.testing.assert_close(short, gradient * 0.5 / gradient.norm(), rtol=1e-4, atol=0)
    assert torch.equal(same, gradient)


def test_the_first_step_and_the_last_one_move() -> None:
    # a warm-up from exactly 0 and a cosine to exactly 0 would each waste a step
    training = trainer(warmup=0.5)
    for step in range(STEPS):
        before = weight_of(training.family).copy()
        training.play()
        if step in (0, STEPS - 1):
            assert np.abs(weight_of(training.family) - before).max() > 1e-6
    assert training.done == 1


def test_reports_average_the_losses_since_the_last_one_and_say_step_images_and_epochs() -> None:
    training = trainer()
    losses = []
    for step in range(6):
        images = Numbered().batch(step).images.double().flatten(1).numpy()
        losses.append(((images - weight_of(training.family)) ** 2).sum(1).mean())
        training.play()
        if step == 1:
            training.report()
    report = training.report()
    assert report["only/loss"] == pytest.approx(np.mean(losses[2:]), rel=1e-6)
    assert (report["step"], report["images"], report["epochs"]) == (6, 48, 1.2)


def test_players_that_overlap_or_leave_parameters_out_are_refused() -> None:
    class Forgetful(Target):
        def players(self) -> dict[str, nn.Module]:
            return {"only": nn.Identity()}

    class Greedy(Target):
        def players(self) -> dict[str, nn.Module]:
            return {"one": self, "other": self}

    for kind in (Forgetful, Greedy):
        with pytest.raises(UsageError, match=f"the players of {kind.__name__} must be disjoint"):
            Trainer(kind(NoSettings(), DataSpec(1, 2, 2)), Numbered(), TrainConfig(device="cpu", precision="float32"))
