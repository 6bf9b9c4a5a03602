"""Torch modules in the place of a family's networks: the same losses, checked shapes, weights that are theirs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.family import FamilyFactory
from simulacra.families.autoencoder import Autoencoder, AutoencoderConfig
from simulacra.families.gan import GAN
from simulacra.families.vae import VAE, VAEConfig

SPEC = DataSpec(1, 8, 8)
D = 3


class Encoder(nn.Module):
    """Uses `view`, as many networks do, which fails on tensors in channels-last memory."""

    def __init__(self, outputs: int, pair: bool = False) -> None:
        super().__init__()
        self.conv, self.dense, self.pair = nn.Conv2d(1, 4, 3, 2, 1), nn.Linear(64, outputs), pair

    def forward(self, images: Tensor) -> Any:
        outputs = self.dense(self.conv(images).relu().view(len(images), -1))
        return tuple(outputs.chunk(2, 1)) if self.pair else outputs


def decoder(inputs: int = D, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, (1, 8, 8)), *last)


def discriminator(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), *last)


def new(kind: Any, **settings: Any) -> Any:
    return kind(kind.Config.of(settings), SPEC)


def images(count: int = 5) -> Tensor:
    """Images as training batches hold them: in channels-last memory."""
    return torch.rand(count, 8, 8, 1, generator=torch.Generator().manual_seed(0)).permute(0, 3, 1, 2)


def test_an_autoencoder_computes_the_same_loss_as_the_family_with_the_same_networks():
    reference: Any = Autoencoder(AutoencoderConfig(network="dense", hidden=(16,), latent_dim=D), SPEC)
    own = new(Autoencoder.with_networks(reference.encoder, reference.decoder))
    assert own.latent_dim == D
    (turn,), (expected,) = own.turns(), reference.turns()
    assert torch.equal(turn.losses(Batch(images()))["autoencoder"].total, expected.losses(Batch(images()))["autoencoder"].total)


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_vae_computes_the_same_bound_as_the_family_with_the_same_networks(pair, likelihood):
    reference: Any = VAE(VAEConfig(network="dense", hidden=(16,), latent_dim=D, likelihood=likelihood), SPEC)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mean, self.log_var = reference.encoder, reference.mean, reference.log_var

        def forward(self, inputs: Tensor) -> Any:
            outputs = self.mean(self.body(inputs)), self.log_var(self.body(inputs))
            return outputs if pair else torch.cat(outputs, 1)

    own = new(VAE.with_networks(Both(), reference.decoder), likelihood=likelihood)
    assert own.latent_dim == D
    bounds = []
    for model in (own, reference):
        torch.manual_seed(0)
        bounds.append(model.elbo(images()))
    torch.testing.assert_close(bounds[0].rate, bounds[1].rate)
    torch.testing.assert_close(bounds[0].distortion, bounds[1].distortion)


def test_a_gan_computes_with_the_given_networks():
    generator, judge = decoder(4), discriminator(nn.Linear(64, 1))
    own = new(GAN.with_networks(generator, judge, noise=4))
    noise = torch.randn(5, 4)
    torch.testing.assert_close(own.generate(noise), torch.sigmoid(generator(noise)))
    torch.testing.assert_close(own.discriminator(images()), judge(images())[:, 0])
    torch.testing.assert_close(own.discriminator_features(images()), judge[:-1](images()))
    assert set(own.players()) == {"generator", "discriminator"}


def test_networks_may_use_view_and_are_not_changed():
    encoder = Encoder(D)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    own = new(Autoencoder.with_networks(encoder, decoder()))
    torch.testing.assert_close(own.encode(images()), encoder(images().contiguous().clone(memory_format=torch.contiguous_format)))
    with torch.no_grad():
        own.encoder.dense.weight.zero_()
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_frozen_networks_stay_frozen():
    encoder = Encoder(D).requires_grad_(False)
    own = new(Autoencoder.with_networks(encoder, decoder()))
    assert {name.split(".")[0] for name, value in own.named_parameters() if value.requires_grad} == {"decoder"}


def test_the_class_has_its_name_and_the_module_that_made_it():
    kind = Autoencoder.with_networks(Encoder(D), decoder(), name="Mine")
    assert (kind.__name__, kind.__module__) == ("Mine", __name__)
    with pytest.raises(UsageError, match="name is 'my family', expected the name of a class"):
        Autoencoder.with_networks(Encoder(D), decoder(), name="my family")


def test_settings_of_the_replaced_networks_are_refused():
    kind = VAE.with_networks(Encoder(2 * D), decoder())
    with pytest.raises(UsageError, match="unknown key in settings 'latent_dim'"):
        new(kind, latent_dim=4)
    assert new(kind, beta=2.0).beta == 2.0
    assert not kind.presets


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Autoencoder.with_networks(nn.Conv2d(1, 4, 3), decoder()), r"encoder returns \(2, 4, 6, 6\) .* expected \[2 d\]"),
        (Autoencoder.with_networks(Encoder(D, pair=True), decoder()), "encoder returns a tuple, expected a tensor"),
        (Autoencoder.with_networks(nn.Linear(5, 3), decoder()), r"encoder fails on inputs of shape \(2, 1, 8, 8\)"),
        (Autoencoder.with_networks(Encoder(D), nn.Linear(D, 64)), r"decoder returns \(64, 64\) .* expected \(64, 1, 8, 8\)"),
        (Autoencoder.with_networks(Encoder(D), decoder(D, nn.Sigmoid())), r"decoder returns values in \[0, 1\], expected logits"),
        (VAE.with_networks(Encoder(5), decoder()), "encoder returns 5 values, expected mean and log-variance"),
        (
            GAN.with_networks(decoder(4, nn.Sigmoid()), discriminator(nn.Linear(64, 1)), 4),
            r"generator returns values in \[0, 1\]",
        ),
        (GAN.with_networks(decoder(4), discriminator(nn.Linear(64, 2)), 4), r"ends in nn\.Linear\(features, 1\)"),
        (GAN.with_networks(decoder(4), discriminator(nn.Linear(60, 1)), 4), "discriminator fails on inputs"),
    ],
)
def test_networks_that_do_not_fit_are_refused(kind: FamilyFactory, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        new(kind)


def test_lazy_layers_receive_weights_that_can_be_trained():
    own = new(Autoencoder.with_networks(nn.Sequential(nn.Flatten(), nn.LazyLinear(D)), decoder()))
    (turn,) = own.turns()
    turn.losses(Batch(images()))["autoencoder"].total.backward()
    assert own.encoder[1].weight.grad.abs().sum() > 0
