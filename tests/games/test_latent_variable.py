"""The distribution of pixels given the outputs of a decoder."""

import math

import pytest
import torch

from simulacra.core.batch import DataSpec
from simulacra.families.vae import VAE, VAEConfig
from simulacra.games.latent_variable import PixelDistribution

LOGISTIC = PixelDistribution("logistic", False, 1, 4)


def test_black_and_white_pixels_cost_next_to_nothing_after_a_few_steps_of_logistic_pixels() -> None:
    images = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 1, 2, 2)
    outputs = torch.zeros(1, 2, 2, 2, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(200):
        loss = -LOGISTIC.log_likelihood(outputs, images).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() / 4 < 0.01  # nats per pixel; log 2 = 0.69 if the location were confined to (0, 1)
    assert torch.equal(LOGISTIC.mean(outputs), images)


@pytest.mark.long
def test_a_logistic_vae_encodes_black_and_white_images_almost_free_of_cost() -> None:
    torch.manual_seed(0)
    images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]).repeat(8, 1, 1, 1)
    model = VAE(VAEConfig(network="dense", hidden=(16,), latent_dim=2, likelihood="logistic"), DataSpec(1, 4, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(400):
        terms = model.elbo(images)
        optimizer.zero_grad()
        torch.autograd.backward((terms.rate + terms.distortion).mean())
        optimizer.step()
    assert terms.distortion.mean().item() / 16 < 0.02


def test_the_mean_of_logistic_pixels_is_their_location_limited_to_the_range_of_pixels() -> None:
    outputs = torch.tensor([[-9.0, 9.0, 0.0, math.log(2)]]).view(1, 1, 2, 2).repeat(1, 2, 1, 1)
    expected = torch.tensor([[0.0, 1.0, 0.5, 1.0]]).view(1, 1, 2, 2)  # sigmoid(log 2) = 2/3, and 3 * 2/3 - 1 = 1
    torch.testing.assert_close(LOGISTIC.mean(outputs), expected)


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_the_mean_of_other_pixels_is_the_sigmoid_of_the_output(kind: str) -> None:
    outputs = torch.tensor([[-2.0, 0.5], [9.0, 0.0]]).view(1, 1, 2, 2)
    pixels = PixelDistribution(kind, False, 1, 4)  # type: ignore[arg-type]
    assert torch.equal(pixels.mean(outputs), torch.sigmoid(outputs))
