"""The denoising families: what is trained, what is made of noise, and what is said of images."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.diffusion.bounds import CHAIN_LENGTH, step_nats, step_probabilities
from simulacra.diffusion.noise_levels import add_noise
from simulacra.diffusion.schedules import chain_levels
from simulacra.families.diffusion import Diffusion, DiffusionConfig
from simulacra.families.flow import Flow, FlowConfig
from simulacra.games import denoising
from simulacra.games.denoising import DenoisingGame

SPEC = DataSpec(1, 8, 8, ("cat", "dog", "owl"))
TINY = {"features": (8, 8), "sampling_steps": 4}


def diffusion(**changes: Any) -> Diffusion:
    return awake(Diffusion(DiffusionConfig.of({**TINY, **changes}), SPEC))


def flow(**changes: Any) -> Flow:
    return awake(Flow(FlowConfig.of({**TINY, **changes}), SPEC))


def awake(family: Any) -> Any:
    """Return the family with what begins at zero drawn anew."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in family.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return family


def asleep(kind: Any, config: Any) -> DenoisingGame:
    """Return the family untrained: its network's output is zero."""
    family: DenoisingGame = kind(config, SPEC)
    return family


def loss(family: Any, images: Tensor, labels: Tensor | None = None) -> Any:
    torch.manual_seed(0)
    return family.turns()[0].losses(Batch(images, Condition(labels)))["denoiser"]


IMAGES = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))


# --- training


def test_an_output_of_zero_costs_the_mean_square_of_its_target() -> None:
    # of noise: 1; of the velocity: 1 + the images' own square. 4,096 values; 5.5 standard errors
    error = 5.5 * math.sqrt(2 / 4096)
    noise_loss = loss(asleep(Diffusion, DiffusionConfig(prediction="noise")), IMAGES).total.item()
    assert noise_loss == pytest.approx(1, abs=error)
    square = ((2 * IMAGES - 1) ** 2).mean().item()
    assert loss(asleep(Flow, FlowConfig()), IMAGES).total.item() == pytest.approx(1 + square, abs=2 * error)


@pytest.mark.long
@pytest.mark.parametrize("prediction", ["noise", "image", "v", "edm"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "sigmoid", "karras"])
@pytest.mark.parametrize("weighting", ["simple", "min-snr", "edm"])
def test_losses_are_finite_in_every_combination(prediction: str, schedule: str, weighting: str) -> None:
    family = diffusion(prediction=prediction, noise_schedule=schedule, weighting=weighting)
    assert loss(family, IMAGES[:8]).total.isfinite()


@pytest.mark.parametrize("times", ["uniform", "logit-normal"])
def test_times_of_a_flow_lie_on_its_path(times: str) -> None:
    family = flow(times=times)
    torch.manual_seed(1)
    drawn = family.process.times(4000, torch.device("cpu"))
    level = family.process.path(drawn)
    assert level.sigma.min() >= 1e-3 - 1e-12
    assert level.sigma.max() <= 1
    middle = ((drawn > 0.25) & (drawn < 0.75)).double().mean().item()
    assert middle == pytest.approx({"uniform": 0.5, "logit-normal": 0.728}[times], abs=0.01)  # Phi(log 3) - Phi(-log 3)


def test_a_share_of_the_labels_is_dropped_in_training() -> None:
    family = diffusion(conditional=True, label_dropout=0.25)
    labels = torch.arange(4000) % 3
    torch.manual_seed(0)
    dropped = family._without_some(labels)
    assert (dropped == 3).double().mean().item() == pytest.approx(0.25, abs=5.5 * math.sqrt(0.25 * 0.75 / 4000))
    assert torch.equal(dropped[dropped < 3], labels[dropped < 3])


def test_a_learned_variance_moves_nothing_but_the_variance() -> None:
    family = diffusion(learned_variance=True)
    found = loss(family, IMAGES)
    last = list(family.network.last.parameters())[-2]  # the weight of the last convolution
    (slope,) = torch.autograd.grad(found.parts["step_bits_per_dim"], last)
    assert not slope[0].any()  # the outputs that mean the image
    assert slope[1].any()
    assert found.parts["step_bits_per_dim"] > 0


def test_settings_that_contradict_each_other_are_refused() -> None:
    for changes, message in (
        ({"guidance_scale": 2.0}, "guidance_scale is 2.0"),
        ({"conditional": True, "label_dropout": 0.0}, "label_dropout is 0"),
        ({"eta": 0.5}, "eta is 0.5"),
        ({"learned_variance": True, "noise_schedule": "karras"}, "learned_variance"),
    ):
        with pytest.raises(UsageError, match=message):
            DiffusionConfig.of(changes)
    with pytest.raises(UsageError, match="conditional on labels"):
        loss(diffusion(conditional=True), IMAGES)


# --- from noise to images


@pytest.mark.long
@pytest.mark.parametrize("sampler", DenoisingGame.samplers)
@pytest.mark.parametrize("family", [diffusion(), flow()], ids=["diffusion", "flow"])
def test_image_k_of_a_seed_is_the_same_in_every_batch(family: Any, sampler: str) -> None:
    plan = SamplingPlan(sampler, 4, eta=0.5 if sampler == "ddim" else 0.0)
    with inference_mode(family):
        together = family.sample_with_plan(noise(7, 0, 5, family.noise_shape), UNCONDITIONAL, plan, lambda: None)
        alone = family.sample_with_plan(noise(7, 3, 1, family.noise_shape), UNCONDITIONAL, plan, lambda: None)
    torch.testing.assert_close(together[3:4], alone, rtol=1e-4, atol=1e-4)


def test_guidance_of_one_is_no_guidance_and_more_of_it_moves_away_from_the_unconditional_image() -> None:
    family = diffusion(conditional=True).eval()
    drawn, given = noise(0, 0, 3, family.noise_shape), Condition(torch.tensor([0, 1, 2]))
    with inference_mode(family):
        one, two = (family.sample_with_plan(drawn, given, SamplingPlan("ddim", 1, w), lambda: None) for w in (1.0, 2.0))
        none = family.sample_with_plan(drawn, given, SamplingPlan("ddim", 1, 0.0), lambda: None)
    inside = ((torch.stack([none, one, two]) > 0) & (torch.stack([none, one, two]) < 1)).all(0)
    assert inside.any()
    torch.testing.assert_close(two[inside], (2 * one - none)[inside], rtol=1e-4, atol=1e-4)
    assert family.evaluations(SamplingPlan("heun", 5, 2.0)) == 18


def test_the_precision_of_a_plan_is_that_of_the_network_and_of_nothing_else() -> None:
    family = diffusion().eval()
    kinds: list[torch.dtype] = []
    family.network.first.register_forward_hook(lambda layer, given, output: kinds.append(output.dtype))
    drawn, found = noise(0, 0, 3, family.noise_shape), {}
    for kind in (torch.float32, torch.bfloat16):
        kinds.clear()
        with inference_mode(family):
            found[kind] = family.sample_with_plan(drawn, UNCONDITIONAL, SamplingPlan("heun", 4, precision=kind), lambda: None)
        assert set(kinds) == {kind}
        assert found[kind].dtype == torch.float32
    torch.testing.assert_close(found[torch.bfloat16], found[torch.float32], rtol=0, atol=0.1)
    assert not torch.equal(found[torch.bfloat16], found[torch.float32])


def test_without_labels_the_noise_draws_the_class() -> None:
    family = diffusion(conditional=True).eval()
    drawn = noise(0, 0, 6, family.noise_shape)
    assert family.noise_shape == (65,)
    drawn[:, -1] = torch.tensor([-3.0, 0.0, 3.0, -3.0, 0.0, 3.0])
    with inference_mode(family):
        torch.testing.assert_close(family.generate(drawn), family.generate(drawn, Condition(torch.tensor([0, 1, 2, 0, 1, 2]))))


def test_sampling_is_in_evaluation_mode_and_gives_the_mode_back() -> None:
    # trap 16: dropout would make two samples differ
    family = diffusion(dropout=0.5).train()
    drawn = noise(0, 0, 2, family.noise_shape)
    with inference_mode(family):
        assert torch.equal(family.generate(drawn), family.generate(drawn))
    assert family.training


def test_a_model_without_classes_refuses_guidance() -> None:
    family = diffusion()
    with pytest.raises(UsageError, match="guidance_scale is 2"):
        family.check(SamplingPlan("ddim", 2, 2.0))
    with pytest.raises(UsageError, match="eta is 0"):
        family.check(SamplingPlan("heun", 2, eta=0.5))


# --- likelihood


@pytest.mark.long
@pytest.mark.parametrize("make", [diffusion, flow, lambda: diffusion(learned_variance=True)])
def test_images_cost_a_finite_number_of_bits_by_either_way(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "_INVERSION", 8)
    family = make()
    images = (IMAGES[:4] * 255).round() / 255
    with inference_mode(family):
        torch.manual_seed(0)
        costs = family.diffusion_bound(images, 5)
        density = family.flow_log_likelihood(images, 2)
    assert costs.steps.shape == costs.times.shape == (4, 5)
    assert costs.count == 999
    for values in (costs.prior, costs.decoder, costs.steps, density.nats):
        assert values.isfinite().all()
    assert (costs.steps >= 0).all()
    assert (costs.prior >= -1e-4).all()
    assert (costs.total > 0).all()
    assert density.nats.dtype == torch.float32


@pytest.mark.parametrize("make", [diffusion, flow])
def test_the_steps_that_are_drawn_estimate_the_whole_sum(make: Any) -> None:
    family = make(features=(4,))
    image = (IMAGES[:1] * 255).round() / 255
    levels = chain_levels(family.process.path, CHAIN_LENGTH)
    shares = step_probabilities(levels)
    assert shares.sum().item() == pytest.approx(1)
    assert (shares >= 0.5 / 999 - 1e-12).all()
    with inference_mode(family):
        torch.manual_seed(0)
        drawn = family.diffusion_bound(image.repeat(2000, 1, 1, 1), 1)
        pixels = (2 * image - 1).repeat(999, 1, 1, 1)
        here, there = levels[1:], levels[:-1]
        noisy = add_noise(pixels, torch.randn_like(pixels), here)
        whole = step_nats(family.estimate(noisy, here), pixels, noisy, here, there).sum().item()
    # 64 pixels of noise in each of 2,000 steps: their sum varies by a few thousandths
    assert (drawn.count * drawn.steps.mean()).item() == pytest.approx(whole, rel=0.05)
