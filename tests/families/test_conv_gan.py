"""The exact architecture of the conv GAN (requirements, section 3): parameters, layers, outputs for given weights, losses."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.families.conv_gan import ConvGAN, ConvGANConfig

DISCRIMINATOR = {"discriminator.body.0": 640, "discriminator.body.3": 36_928, "discriminator.head": 3_137}
GENERATOR = {"layers.0": 633_472, "layers.3": 262_272, "layers.5": 262_272, "layers.7": 6_273}
LEAK = 0.2


@pytest.fixture(scope="module")
def gan() -> ConvGAN:
    torch.manual_seed(0)
    model = ConvGAN(ConvGANConfig.of(ConvGAN.presets["conv"]), DataSpec(1, 28, 28))
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.1)  # biases begin at zero, which would hide a misplaced one
    return model.eval()


def leaky(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, LEAK * values)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_layer_has_the_parameter_count_of_the_keras_model(gan: ConvGAN) -> None:
    expected = DISCRIMINATOR | {f"generator.{name}": number for name, number in GENERATOR.items()}
    assert {name: count(gan.get_submodule(name)) for name in expected} == expected
    assert count(gan.discriminator) == sum(DISCRIMINATOR.values()) == 40_705
    assert count(gan.generator) == sum(GENERATOR.values()) == 1_164_289


def test_layers_are_in_the_order_of_the_document(gan: ConvGAN) -> None:
    def kinds(module: nn.Module) -> list[str]:
        return [type(part).__name__ for part in module.children()]

    assert kinds(gan.get_submodule("discriminator.body")) == 2 * ["SameConv2d", "LeakyReLU", "Dropout"] + ["Flatten"]
    doubling = ["SameConvTranspose2d", "LeakyReLU"]
    expected = ["Linear", "LeakyReLU", "Unflatten", *doubling, *doubling, "SameConvTranspose2d"]
    assert kinds(gan.get_submodule("generator.layers")) == expected
    assert {part.negative_slope for part in gan.modules() if isinstance(part, nn.LeakyReLU)} == {LEAK}
    assert gan.config.dropout == 0.4
    assert gan.noise_shape == (100,)


def test_the_discriminator_equals_the_keras_computation(gan: ConvGAN, keras: Any) -> None:
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    weights = {name: tensor.detach().double().numpy() for name, tensor in gan.discriminator.state_dict().items()}
    values = images.double().numpy().transpose(0, 2, 3, 1)
    for layer in ("body.0.conv", "body.3.conv"):
        values = leaky(keras.conv(values, weights[f"{layer}.weight"].transpose(2, 3, 1, 0), weights[f"{layer}.bias"], 2))
    head = weights["head.weight"].reshape(64, 7, 7).transpose(1, 2, 0).ravel()  # Keras flattens channels last
    expected = values.reshape(2, -1) @ head + weights["head.bias"]
    with torch.no_grad():
        logits = gan.discriminator(images)
    # float32 sums of up to 3136 terms of order one: 2^-24 * sqrt(3136) = 3e-6, with room for three layers
    np.testing.assert_allclose(logits.numpy(), expected, atol=2e-5)


def test_the_generator_equals_the_keras_computation(gan: ConvGAN, keras: Any) -> None:
    noise = 5 * torch.randn(2, 100, generator=torch.Generator().manual_seed(2))
    weights = {name: tensor.detach().double().numpy() for name, tensor in gan.generator.state_dict().items()}
    first = weights["layers.0.weight"].reshape(128, 7, 7, 100).transpose(3, 1, 2, 0).reshape(100, -1)
    bias = weights["layers.0.bias"].reshape(128, 7, 7).transpose(1, 2, 0).ravel()
    values = leaky(noise.double().numpy() @ first + bias).reshape(2, 7, 7, 128)
    for layer, side in (("layers.3.conv", 14), ("layers.5.conv", 28)):
        kernel = weights[f"{layer}.weight"].transpose(2, 3, 1, 0)
        values = leaky(keras.conv_transpose(values, kernel, weights[f"{layer}.bias"], 2, (side, side)))
    # ours is the transposed layer [in out h w]: the kernel of the plain one [h w in out] is it, turned by 180 degrees
    kernel = weights["layers.7.conv.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    logits = keras.conv(values, kernel, weights["layers.7.conv.bias"], 1)[..., 0]
    with torch.no_grad():
        images = gan.generate(noise)
    np.testing.assert_allclose(images.numpy()[:, 0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert logits.std() > 0.05  # 5,000 tolerances: the weights say something


def test_the_losses_are_those_of_the_document(gan: ConvGAN) -> None:
    batch = Batch(torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(3)))
    discriminate, generate = gan.turns()

    def probability(images: Tensor) -> Tensor:
        return torch.sigmoid(gan.discriminator(images).double())

    torch.manual_seed(5)
    loss = discriminate.losses(batch)["discriminator"].total.item()
    torch.manual_seed(5)
    fakes = gan.generate(torch.randn(4, 100))
    expected = (-probability(batch.images).log()).mean() - (1 - probability(fakes)).log().mean()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    torch.manual_seed(5)
    loss = generate.losses(batch)["generator"].total.item()
    assert loss == pytest.approx(-probability(fakes).log().mean().item(), rel=1e-6)
