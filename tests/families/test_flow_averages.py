"""A flow with average velocities begins as the flow that it starts from, and samples in few steps."""

import pytest
import torch

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.diffusion.noise_levels import straight_path
from simulacra.families.flow import Flow, FlowConfig

SPEC = DataSpec(1, 8, 8, classes=("0", "1", "2"))
LABELS = Condition(labels=torch.tensor([0, 1, 2, 0]))


def flow(steps=1, **changes):
    torch.manual_seed(0)
    settings = {"features": (16,), "group": 8, "conditional": True, **changes}
    family = Flow(FlowConfig(average_steps=steps, **settings), SPEC)
    torch.manual_seed(1)
    for name, parameter in family.named_parameters():
        if "span" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return family.eval()


def batch():
    return Batch(torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2)), LABELS)


def test_its_velocities_are_at_first_those_of_the_flow():
    noise = torch.randn(4, 67, generator=torch.Generator().manual_seed(3))
    plain, averaging = flow(0), flow(1)
    level = straight_path(torch.full((4,), 0.7, dtype=torch.float64))
    expected = plain.estimate(plain._pixels(noise), level, LABELS).image
    torch.testing.assert_close(averaging.estimate(averaging._pixels(noise), level, LABELS).image, expected)
    plan = plain.plan
    torch.testing.assert_close(
        averaging.sample_with_plan(noise, LABELS, plan, lambda: None), plain.sample_with_plan(noise, LABELS, plan, lambda: None)
    )


def test_every_weight_receives_a_gradient():
    family = flow(guidance_scale=1.5).train()
    loss = family.turns()[0].losses(batch())["denoiser"]
    loss.total.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in family.parameters())
    assert set(loss.parts) == {"output_mse", "average_mse"}


def test_the_target_at_an_instant_is_the_guided_velocity():
    family = flow(guidance_scale=2.0, label_dropout=1e-9)
    noisy, straight = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    times = torch.full((4,), 0.8, dtype=torch.float64)
    guided = family._guided(straight, noisy, times)
    torch.testing.assert_close(guided, 2 * straight - family._velocity(noisy, times, times, Condition()))


def test_the_loss_vanishes_where_velocities_are_constant_and_right(monkeypatch):
    """For equal noise and images, a velocity of zero is exact for steps of any length."""
    family = flow(label_dropout=1e-9)
    images = batch()
    monkeypatch.setattr(torch, "randn_like", lambda values: 2 * images.images - 1)
    monkeypatch.setattr(family, "_velocity", lambda noisy, times, ends, condition: torch.zeros_like(noisy))
    parts = family.turns()[0].losses(images)["denoiser"].parts
    assert parts["output_mse"] == parts["average_mse"] == 0
    monkeypatch.setattr(family, "_velocity", lambda noisy, times, ends, condition: torch.ones_like(noisy))
    parts = family.turns()[0].losses(images)["denoiser"].parts
    assert (parts["output_mse"], parts["average_mse"]) == (1, 0), "any constant velocity is consistent with itself"


def test_a_batch_of_one_image_is_refused():
    single = Batch(batch().images[:1], LABELS[:1])
    with pytest.raises(UsageError, match="at least two images"):
        flow().turns()[0].losses(single)


def test_it_samples_in_its_steps_and_includes_the_guidance():
    family = flow(2, guidance_scale=1.5)
    assert (family.plan.sampler, family.plan.steps, family.evaluations(family.plan)) == ("average", 2, 2)
    with pytest.raises(UsageError, match=r"scale 1\.5 is included"):
        family.check(type(family.plan)("heun", 4, guidance_scale=1.5))
    with pytest.raises(UsageError, match="has no average velocities"):
        flow(0).check(family.plan)
