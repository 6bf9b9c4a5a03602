"""What CycleGAN minimizes, against values computed by hand with one-parameter networks (trap 10)."""

import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Loss
from simulacra.families.cyclegan import CycleGAN, CycleGANConfig
from simulacra.objectives.cycle_consistency import l1_distance

SPEC = DataSpec(1, 8, 8)
TINY: dict[str, object] = {"features": 2, "blocks": 1, "downsamplings": 1, "discriminator_features": 2, "pool": 3}


class Scaled(nn.Module):
    """Multiplies images by a parameter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * images


class Mean(Scaled):
    """Returns the mean of an image, times a parameter, as two equal patches."""

    def forward(self, images: Tensor) -> Tensor:
        return (self.factor * images.mean((1, 2, 3))).view(-1, 1, 1, 1).expand(-1, 1, 1, 2)


def one_parameter_networks(**settings: object) -> CycleGAN:
    """Return a game in which to_b halves, to_a is 1.5 times, discriminators of a and b return 1 and 2 times the mean."""
    family = CycleGAN(CycleGANConfig.of({**TINY, **settings}), SPEC)
    family.generators["a"], family.generators["b"] = Scaled(1.5), Scaled(0.5)
    family.discriminators["a"], family.discriminators["b"] = Mean(1.0), Mean(2.0)
    return family


def batch(a: float = 0.4, b: float = 0.6, count: int = 1) -> Batch:
    """Return flat images of these values."""
    domains = {name: Batch(torch.full((count, 1, 8, 8), value)) for name, value in (("a", a), ("b", b))}
    return Batch(domains["a"].images, domains=domains)


def losses(family: CycleGAN, seen: Batch) -> dict[str, Loss]:
    (turn,) = family.turns()
    return dict(turn.losses(seen))


def test_the_difference_of_coloured_images_has_its_gradient_in_their_memory_layout() -> None:
    generator = torch.Generator().manual_seed(0)
    images, others = (torch.rand(2, 3, 5, 4, generator=generator).contiguous(memory_format=torch.channels_last) for _ in range(2))
    found = l1_distance(images.requires_grad_(), others)
    (gradient,) = torch.autograd.grad(found, images)
    assert found.item() == pytest.approx(2 * (images - others).abs().double().mean().item(), rel=1e-6)
    assert torch.equal(gradient, 2 / images.numel() * (images - others).sgn())
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_generators_loss_has_the_parts_and_weights_of_the_paper() -> None:
    # a = 0.4 -> b 0.2 -> a 0.3; b = 0.6 -> a 0.9 -> b 0.45; differences count double on [-1, 1]
    found = losses(one_parameter_networks(), batch())["generators"]
    adversarial = (1.0 * 0.9 - 1) ** 2 + (2.0 * 0.2 - 1) ** 2
    cycle = 2 * (0.4 - 0.3) + 2 * (0.6 - 0.45)
    identity = 2 * abs(0.4 - 0.6) + 2 * abs(0.6 - 0.3)  # to_a of a, to_b of b
    assert found.parts["adversarial"].item() == pytest.approx(adversarial, abs=1e-6)
    assert found.parts["cycle"].item() == pytest.approx(cycle, abs=1e-6)
    assert found.parts["identity"].item() == pytest.approx(identity, abs=1e-6)
    assert found.total.item() == pytest.approx(adversarial + 10 * cycle + 0.5 * 10 * identity, abs=1e-5)


def test_the_discriminators_loss_is_halved_and_detached_from_the_generators() -> None:
    family = one_parameter_networks()
    found = losses(family, batch())["discriminators"]
    fake_a, fake_b = round(0.9 * 255) / 255, round(0.2 * 255) / 255  # 256 levels, as real images
    expected = 0.5 * ((0.4 - 1) ** 2 + fake_a**2) + 0.5 * ((2 * 0.6 - 1) ** 2 + (2 * fake_b) ** 2)
    assert found.total.item() == pytest.approx(expected, abs=1e-6)
    gradients = torch.autograd.grad(found.total, list(family.generators.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_each_generator_gets_the_whole_gradient_of_both_cycles() -> None:
    # of the cycle loss 2 |0.4 - f g 0.4| + 2 |0.6 - g f 0.6| along f (into a), both terms: -2 g (0.4 + 0.6)
    family = one_parameter_networks(identity=0.0, cycle=1.0)
    cycle = losses(family, batch())["generators"].parts["cycle"]
    along_a, along_b = torch.autograd.grad(cycle, list(family.generators.parameters()))
    assert along_a.item() == pytest.approx(-2 * 0.5 * 1.0, abs=1e-5)
    assert along_b.item() == pytest.approx(-2 * 1.5 * 1.0, abs=1e-5)


def test_the_discriminators_loss_uses_earlier_translations_from_the_pool() -> None:
    family = one_parameter_networks(pool=1)
    losses(family, batch(a=0.4))
    torch.manual_seed(0)
    logits = {round(losses(family, batch(a=0.8))["discriminators"].parts["fake_logit"].item(), 3) for _ in range(20)}
    assert len(logits) > 1  # old and new ones
    assert family.pools["b"].count == 1


def test_domains_of_one_shape_have_an_identity_loss_and_others_none() -> None:
    other = DataSpec(3, 6, 10)
    family = CycleGAN(CycleGANConfig.of(TINY), DataSpec(1, 8, 8, (), {"a": SPEC, "b": other}))
    domains = {name: Batch(torch.rand(2, *spec.shape)) for name, spec in (("a", SPEC), ("b", other))}
    seen = Batch(domains["a"].images, domains=domains)
    assert set(losses(family, seen)["generators"].parts) == {"adversarial", "cycle"}
    assert set(losses(one_parameter_networks(), batch())["generators"].parts) == {"adversarial", "cycle", "identity"}
    assert set(losses(one_parameter_networks(identity=0.0), batch())["generators"].parts) == {"adversarial", "cycle"}
    with inference_mode(family):
        assert family.translate(seen["a"].images, "b").shape == (2, 3, 6, 10)
        assert family.translate(seen["b"].images, "a").shape == (2, 1, 8, 8)


def test_validation_leaves_the_pool_alone() -> None:
    family = one_parameter_networks().eval()
    losses(family, batch())
    assert [pool.get_buffer("count").item() for pool in family.pools.values()] == [0, 0]


def test_every_image_of_a_batch_weighs_the_same() -> None:
    one, two = batch(), batch(a=0.1, b=0.9)
    both = Batch(one.images, domains={name: Batch(torch.cat([one[name].images, two[name].images])) for name in ("a", "b")})
    family = one_parameter_networks(pool=0)
    for player in ("generators", "discriminators"):
        alone = [losses(family, seen)[player].total.item() for seen in (one, two)]
        assert losses(family, both)[player].total.item() == pytest.approx(sum(alone) / 2, abs=1e-5)
