"""What the adversarial families compute, beyond what every family is held to (traps 6, 7, 8, 9, 16 and 30)."""

import math
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.config import Config
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Family, FamilyFactory, Loss
from simulacra.core.randomness import generator
from simulacra.families.conv_gan import ConvGAN
from simulacra.families.dcgan import DCGAN
from simulacra.families.gan import GAN
from simulacra.families.wgan_gp import WGANGP
from simulacra.games.adversarial import AdversarialConfig, packed
from simulacra.networks.labels import drawn_labels

CLASSES = ("cat", "dog", "owl")
SPEC = DataSpec(1, 8, 8, CLASSES)
DUELS = (GAN, ConvGAN, DCGAN)
ALL = (*DUELS, WGANGP)
SMALL: dict[str, object] = {"noise": 5}


def made(kind: type[Family], spec: DataSpec = SPEC, **settings: object) -> Family:
    torch.manual_seed(0)
    return cast(FamilyFactory, kind)(kind.Config.of({**SMALL, **settings}), spec)


def batch(count: int = 6, spec: DataSpec = SPEC, labelled: bool = True) -> Batch:
    source = generator(0, "test batch")
    labels = torch.randint(0, len(spec.classes), (count,), generator=source) if labelled else None
    return Batch(torch.rand(count, *spec.shape, generator=source), Condition(labels))


# --- the game


@pytest.mark.parametrize("kind", ALL)
def test_the_first_turn_holds_no_graph_of_the_generator(kind: type[Family]) -> None:
    # trap 6
    family = made(kind)
    (loss,) = family.turns()[0].losses(batch()).values()
    parameters = list(family.get_submodule("generator").parameters())
    assert all(item is None for item in torch.autograd.grad(loss.total, parameters, allow_unused=True))


@pytest.mark.parametrize("kind", DUELS)
def test_both_at_once_have_the_losses_and_gradients_of_their_turns(kind: type[Family]) -> None:
    # dropout and batch norm aside, which would draw and count once more
    settings: dict[str, object] = {"batch_norm": False} if kind is DCGAN else {"dropout": 0.0} if kind is ConvGAN else {}
    family, together = made(kind, SPEC, **settings), made(kind, SPEC, simultaneous=True, **settings)
    found = []
    for game in (family, together):
        losses: dict[str, Loss] = {}
        for turn in game.turns():
            torch.manual_seed(1)
            losses |= turn.losses(batch())
        players = game.players()
        found.append(
            {
                name: torch.autograd.grad(loss.total, list(players[name].parameters()), retain_graph=True)
                for name, loss in losses.items()
            }
        )
    assert set(found[0]) == set(found[1]) == {"discriminator", "generator"}
    for name, gradients in found[0].items():
        for one, other in zip(gradients, found[1][name], strict=True):
            torch.testing.assert_close(one, other)


def test_the_critic_moves_five_times_and_lowers_the_objective_of_the_paper() -> None:
    family = made(WGANGP, network="dense", hidden=(8,))
    criticize, generate = family.turns()
    assert (criticize.repeats, generate.repeats) == (5, 1)
    loss = criticize.losses(batch())["critic"]
    parts = {name: value.item() for name, value in loss.parts.items()}
    assert loss.total.item() == pytest.approx(
        parts["fake_score"] - parts["real_score"] + 10 * parts["gradient_penalty"], rel=1e-5
    )
    assert parts["distance_estimate"] == pytest.approx(parts["real_score"] - parts["fake_score"], rel=1e-5)


def test_wgan_gp_trains_with_the_settings_of_the_paper() -> None:
    defaults = WGANGP.defaults
    assert (defaults["lr"], defaults["beta1"], defaults["beta2"], defaults["batch"]) == (1e-4, 0.0, 0.9, 64)
    assert defaults["precision"] == "float32"


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_no_critic_mixes_the_images_of_a_batch(norm: str) -> None:
    # trap 8
    critic = made(WGANGP, norm=norm).get_submodule("critic").train()
    assert not [part for part in critic.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    images = batch().images
    with torch.no_grad():
        torch.testing.assert_close(critic(images)[:1], critic(images[:1]))


def test_r1_adds_half_gamma_of_the_squared_gradient_norm_at_real_images() -> None:
    plain, penalized = made(GAN, hidden=(8,)), made(GAN, hidden=(8,), r1=3.0)
    losses = []
    for family in (plain, penalized):
        torch.manual_seed(1)
        losses.append(family.turns()[0].losses(batch())["discriminator"])
    images = batch().images.requires_grad_()
    (along,) = torch.autograd.grad(plain.get_submodule("discriminator")(images).sum(), images)
    expected = 0.5 * along.square().sum((1, 2, 3)).mean()
    assert losses[1].parts["r1"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses[1].total.item() - losses[0].total.item() == pytest.approx(3 * expected.item(), rel=1e-4)


def test_smoothing_raises_the_loss_by_its_share_of_the_mean_real_logit() -> None:
    # trap 30: -(1-s) log D - s log(1-D) = -log D + s * logit, and the target of fakes is unchanged
    losses = []
    for smoothing in (0.0, 0.1):
        family = made(GAN, smoothing=smoothing)
        torch.manual_seed(1)
        losses.append(family.turns()[0].losses(batch())["discriminator"])
    difference = losses[1].total.item() - losses[0].total.item()
    assert difference == pytest.approx(0.1 * losses[0].parts["real_logit"].item(), abs=1e-6)


# --- networks


def test_dcgan_draws_its_weights_from_the_paper_s_distribution() -> None:
    family = made(DCGAN, DataSpec(3, 32, 32), features=(32, 64, 128), noise=100)
    for name, parameter in family.named_parameters():
        if parameter.dim() > 1 and parameter.numel() > 4000:
            # the spread of n normal numbers has relative error 1/sqrt(2 n): six of them, below 1e-6 for all ten together
            assert parameter.std().item() == pytest.approx(0.02, rel=6 / math.sqrt(2 * parameter.numel())), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name


def test_batch_norm_has_the_stock_epsilon_and_momentum() -> None:
    # trap 7: BatchNorm2d(n, 0.8) sets the epsilon
    norms = [part for part in made(DCGAN, features=(8, 16, 32)).modules() if isinstance(part, nn.BatchNorm2d)]
    assert [part.num_features for part in norms] == [32, 16, 8, 16, 32]
    assert {(part.eps, part.momentum) for part in norms} == {(1e-5, 0.1)}


@pytest.mark.parametrize(("side", "features"), [(28, (8, 16)), (32, (8, 16, 32)), (64, (8, 16, 32, 64)), (45, (8, 16, 32))])
def test_a_dcgan_halves_and_doubles_any_size(side: int, features: tuple[int, ...]) -> None:
    spec = DataSpec(3, side, side + 3)
    family = made(DCGAN, spec, features=features)
    with inference_mode(family):
        images = cast(DCGAN, family).generate(torch.randn(2, 5))
        assert images.shape == (2, *spec.shape)
        assert family.get_submodule("discriminator")(images).shape == (2,)


@pytest.mark.long
@pytest.mark.parametrize("kind", DUELS)
def test_spectral_norm_makes_the_largest_singular_value_of_every_matrix_one(kind: type[Family]) -> None:
    settings: dict[str, object] = {"batch_norm": False} if kind is DCGAN else {}
    discriminator = made(kind, SPEC, spectral_norm=True, **settings).get_submodule("discriminator").train()
    for _ in range(200):  # one power iteration each
        discriminator(batch().images)
    matrices = [part for part in discriminator.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(matrices) == 3
    for part in matrices:
        assert torch.linalg.matrix_norm(part.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("kind", DUELS)
def test_spectral_norm_augmentation_packs_and_every_loss_give_finite_losses(kind: type[Family]) -> None:
    plain: dict[str, object] = {"batch_norm": False} if kind is DCGAN else {}
    for loss in ("saturating", "hinge", "least-squares", "wasserstein"):
        shown: dict[str, object] = {"augment": "color,translation,cutout", "pack": 2}
        family = made(kind, SPEC, loss=loss, spectral_norm=True, r1=1.0, **shown, **plain)
        for turn in family.turns():
            for found in turn.losses(batch(5)).values():
                assert torch.isfinite(found.total)


def test_packs_stack_images_as_channels_and_fill_the_last_with_the_first() -> None:
    images = torch.arange(5.0)[:, None, None, None].expand(5, 2, 3, 3)
    packs = packed(images, 3)
    assert packs.shape == (2, 6, 3, 3)
    assert packs[:, :, 0, 0].tolist() == [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 0, 0]]
    assert packed(images, 1) is images


# --- classes


@pytest.mark.parametrize("kind", ALL)
def test_a_conditional_model_generates_the_class_that_is_asked_for(kind: type[Family]) -> None:
    family = made(kind, conditional=True)
    model = cast(GAN, family)
    noise = torch.randn(4, *model.noise_shape)
    assert model.label_sizes == (len(CLASSES),)
    with inference_mode(family):
        cats, dogs = (model.generate(noise, Condition(torch.full((4,), label))) for label in (0, 1))
        assert not torch.equal(cats, dogs)
        drawn = model.generate(noise)
        labels = drawn_labels(noise, None, (3,))[1]
        assert torch.equal(drawn, model.generate(noise, Condition(labels)))
        torch.testing.assert_close(drawn[1:2], model.generate(noise[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_a_conditional_discriminator_sees_the_labels_of_the_batch(kind: type[Family]) -> None:
    family = made(kind, conditional=True)
    real = batch()
    assert real.labels is not None
    other = Batch(real.images, Condition((real.labels + 1) % 3))
    totals = []
    for labelled in (real, other):
        torch.manual_seed(2)
        totals.append(next(iter(family.turns()[0].losses(labelled).values())).total.item())
    assert totals[0] != totals[1]
    with pytest.raises(UsageError, match="these images have none"):
        family.turns()[0].losses(batch(labelled=False))
    for turn in family.turns():
        for loss in turn.losses(real).values():
            assert torch.isfinite(loss.total)


@pytest.mark.parametrize("kind", ALL)
def test_conditional_models_need_classes(kind: type[Family]) -> None:
    with pytest.raises(UsageError, match="these have no classes: leave --conditional out"):
        made(kind, DataSpec(1, 8, 8), conditional=True)


def test_projection_adds_the_product_of_features_and_the_label_s_vector() -> None:
    discriminator = made(GAN, conditional=True, hidden=(8,)).get_submodule("discriminator")
    images, labels = batch().images, batch().labels
    assert labels is not None
    body, head, vectors = (discriminator.get_submodule(name) for name in ("body", "head", "embedding"))
    features = body(images)
    expected = head(features)[:, 0] + torch.einsum("bf,bf->b", vectors(labels), features)
    torch.testing.assert_close(discriminator(images, Condition(labels)), expected)


def test_the_noise_draws_every_class_equally_often() -> None:
    # 5 standard errors of a share of a third among 30,000: two-sided 6e-7, and three classes
    noise = torch.randn(30_000, 2, generator=torch.Generator().manual_seed(0))
    rest, labels = drawn_labels(noise, None, (3,))
    assert torch.equal(rest, noise[:, :1])
    assert labels is not None
    shares = torch.bincount(labels, minlength=3) / len(labels)
    assert len(shares) == 3
    assert (shares - 1 / 3).abs().max() < 5 * math.sqrt(2 / 9 / 30_000)
    _, extremes = drawn_labels(torch.tensor([[0.0, 40.0], [0.0, -40.0]]), None, (3,))
    assert extremes is not None
    assert extremes.tolist() == [2, 0]


# --- settings


def refused(kind: type[Config], message: str, **settings: object) -> None:
    with pytest.raises(UsageError, match=message):
        kind.of(settings)


def test_settings_that_contradict_each_other_are_refused() -> None:
    refused(AdversarialConfig, "no targets to smooth", loss="hinge", smoothing=0.1)
    refused(AdversarialConfig, "--spectral-norm", loss="wasserstein")
    refused(AdversarialConfig, "pack is 2", pack=2, conditional=True)
    refused(AdversarialConfig, "unknown augmentation", augment="colour")
    refused(DCGAN.Config, "r1 needs", r1=1.0)
    refused(DCGAN.Config, "spectral_norm needs", spectral_norm=True)


# --- training


@pytest.mark.parametrize("kind", [GAN, *(pytest.param(kind, marks=pytest.mark.long) for kind in ALL if kind is not GAN)])
def test_a_game_on_two_kinds_of_images_brings_the_generator_nearer(kind: type[Family]) -> None:
    from simulacra.engine.loop import Trainer
    from simulacra.engine.settings import TrainConfig

    class Bright:
        """Images that are bright above and dark below."""

        size, per_epoch = 16, 10

        def batch(self, number: int, device: torch.device | str = "cpu") -> Batch:
            rows = torch.tensor([0.9] * 4 + [0.1] * 4)[None, None, :, None].expand(16, 1, 8, 8)
            return Batch(rows + 0.05 * torch.randn(rows.shape, generator=generator(0, "bright", number)))

    conv: dict[str, object] = {"features": (8, 16)}
    narrow: dict[type, dict[str, object]] = {
        GAN: {"hidden": (32,)},
        ConvGAN: {"generator_features": 8, "discriminator_features": 8},
        DCGAN: conv,
        WGANGP: {**conv, "critic_steps": 2},
    }
    family = made(kind, SPEC, **narrow[kind])
    settings = TrainConfig.of({**kind.defaults, "batch": 16, "duration": "100", "lr": 2e-3, "precision": "float32", "ema": 0.0})
    trainer = Trainer(family, Bright(), settings)

    def contrast() -> float:
        with inference_mode(trainer.evaluated):
            images: Tensor = cast(GAN, trainer.evaluated).generate(torch.randn(32, 5, generator=generator(0, "noise")))
        return (images[:, :, :4].mean() - images[:, :, 4:].mean()).item()

    before = contrast()
    for _ in range(100):
        trainer.play()
    assert abs(before) < 0.2
    assert contrast() > 0.4  # 0.8 in the data
