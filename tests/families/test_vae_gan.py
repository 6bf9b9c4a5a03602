"""What a VAE/GAN computes, beyond what every family is held to (Larsen et al. 2015)."""

import math

import pytest
import torch
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.config import Config
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Loss
from simulacra.families.vae_gan import VAEGAN, feature_reconstruction
from simulacra.objectives.likelihood import gaussian

SPEC = DataSpec(1, 8, 8)
SMALL: dict[str, object] = {"latent_dim": 3, "features": (4, 4), "hidden": (8,), "discriminator_features": (4, 6)}


def made(**settings: object) -> VAEGAN:
    torch.manual_seed(0)
    config: Config = VAEGAN.Config.of({**SMALL, **settings})
    return VAEGAN(config, SPEC)  # type: ignore[arg-type]


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SPEC.shape, generator=torch.Generator().manual_seed(1))


def played(family: VAEGAN) -> dict[str, Loss]:
    torch.manual_seed(2)
    (turn,) = family.turns()
    return dict(turn.losses(Batch(images())))


def test_the_feature_reconstruction_loss_is_minus_the_log_density_of_a_unit_gaussian_up_to_its_constant() -> None:
    real, fake = torch.randn(2, 5, 7, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = real.var((0, 2, 3), unbiased=False).mean().sqrt()
    exact = -gaussian(fake / scale, torch.zeros((), dtype=torch.float64), real / scale)
    constant = 0.5 * 7 * 9 * math.log(2 * math.pi)
    torch.testing.assert_close(feature_reconstruction(real, fake).double(), exact - constant, rtol=1e-5, atol=1e-4)


def test_the_feature_reconstruction_loss_is_invariant_to_scale() -> None:
    # the discriminator is free to choose that of its features
    real, fake = torch.randn(2, 5, 7, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(feature_reconstruction(real, fake), feature_reconstruction(1e-3 * real, 1e-3 * fake))


def test_the_feature_reconstruction_loss_of_constant_features_is_zero() -> None:
    assert not feature_reconstruction(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).any()


def test_every_player_lowers_the_loss_of_algorithm_1() -> None:
    losses = played(made(beta=0.7, gamma=0.2))
    parts = {name: {part: value.item() for part, value in loss.parts.items()} for name, loss in losses.items()}
    rate, distance = parts["encoder"]["rate_nats"], parts["encoder"]["feature_reconstruction_nats"]
    assert losses["encoder"].total.item() == pytest.approx(0.7 * rate + distance, rel=1e-5)
    assert losses["decoder"].total.item() == pytest.approx(0.2 * distance + parts["decoder"]["generator_loss"], rel=1e-5)


def test_the_losses_are_those_of_networks_applied_one_by_one() -> None:
    family, x = made(), images()
    losses = played(family)
    torch.manual_seed(2)
    posterior = family.posterior(x)
    latents = posterior.mean + torch.exp(0.5 * posterior.log_var) * torch.randn_like(posterior.mean)
    rebuilt, sampled = family.decode(latents), family.decode(torch.randn_like(latents))
    discriminator = family.discriminator
    fakes = 0.5 * (
        torch.nn.functional.softplus(discriminator(rebuilt)).mean() + torch.nn.functional.softplus(discriminator(sampled)).mean()
    )
    torch.testing.assert_close(losses["discriminator"].total, torch.nn.functional.softplus(-discriminator(x)).mean() + fakes)
    seen = discriminator.body[:4]  # rescaling and the first layer
    expected = feature_reconstruction(seen(x), seen(rebuilt)).mean()
    torch.testing.assert_close(losses["encoder"].parts["feature_reconstruction_nats"], expected)


def test_the_layer_decides_what_images_are_compared_in() -> None:
    first, second = (played(made(layer=layer))["encoder"].parts["feature_reconstruction_nats"].item() for layer in (1, 2))
    assert first != pytest.approx(second, rel=0.01)


def test_the_penalty_is_added_to_the_discriminator_alone() -> None:
    plain, penalized = played(made()), played(made(r1=3.0))
    r1 = penalized["discriminator"].parts["r1"].item()
    assert r1 > 0
    assert penalized["discriminator"].total.item() - plain["discriminator"].total.item() == pytest.approx(3 * r1, rel=1e-3)
    assert penalized["decoder"].total.item() == pytest.approx(plain["decoder"].total.item())


def test_reconstructions_are_decoded_means_and_samples_need_no_encoder() -> None:
    family, x = made(), images()
    with inference_mode(family):
        torch.testing.assert_close(family.reconstruct(x), family.decode(family.posterior(x).mean))
        noise = torch.randn(4, *family.noise_shape)
        torch.testing.assert_close(family.generate(noise), family.decode(noise))


def test_a_layer_that_the_discriminator_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="layer is 3, and the discriminator has 2"):
        made(layer=3)


def test_smoothing_is_refused_where_the_loss_has_no_targets() -> None:
    with pytest.raises(UsageError, match="no targets to smooth"):
        made(loss="hinge", smoothing=0.1)
