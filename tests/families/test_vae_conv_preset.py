"""The exact architecture of the conv VAE (requirements, section 3): shapes, parameter counts, outputs for given weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.families.vae import VAE, VAEConfig

ENCODER = {"encoder.0": 320, "encoder.2": 18_496, "encoder.5": 401_536, "mean": 2_064, "log_var": 2_064}
DECODER = {"decoder.dense": 53_312, "decoder.up.0": 36_928, "decoder.up.2": 18_464, "decoder.up.4": 289}


@pytest.fixture(scope="module")
def vae() -> VAE:
    torch.manual_seed(0)
    model = VAE(VAEConfig.of(VAE.presets["conv"]), DataSpec(1, 28, 28))
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.1)  # biases begin at zero, which would hide a misplaced one
    return model.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_layer_has_the_parameter_count_of_the_keras_model(vae: VAE) -> None:
    expected = ENCODER | DECODER
    assert {name: count(vae.get_submodule(name)) for name in expected} == expected


def test_the_whole_model_has_533_473_parameters(vae: VAE) -> None:
    assert count(vae) == sum(ENCODER.values()) + sum(DECODER.values()) == 533_473


def test_intermediate_shapes_are_those_of_the_document(vae: VAE, images: Tensor) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    names = ("encoder.0", "encoder.2", "encoder.4", *ENCODER, *DECODER)
    hooks = [
        vae.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.__setitem__(name, tuple(output.shape[1:]))
        )
        for name in names
    ]
    vae.reconstruct(images)
    vae.posterior(images)
    for hook in hooks:
        hook.remove()
    assert shapes == {
        "encoder.0": (32, 14, 14),
        "encoder.2": (64, 7, 7),
        "encoder.4": (3136,),
        "encoder.5": (128,),
        "mean": (16,),
        "log_var": (16,),
        "decoder.dense": (3136,),
        "decoder.up.0": (64, 14, 14),
        "decoder.up.2": (32, 28, 28),
        "decoder.up.4": (1, 28, 28),
    }


def test_relu_is_between_the_layers_and_nowhere_else(vae: VAE) -> None:
    kinds = [type(module).__name__ for module in vae.modules() if not list(module.children())]
    assert kinds.count("ReLU") == 5
    assert set(kinds) == {"ReLU", "Conv2d", "ConvTranspose2d", "Linear", "Flatten"}


def test_encoder_equals_the_keras_computation(vae: VAE, images: Tensor, keras_vae: Any) -> None:
    mean, log_var = keras_vae(vae.state_dict()).encode(images.double().numpy().transpose(0, 2, 3, 1))
    with torch.no_grad():
        posterior = vae.posterior(images)
    # float32 sums of up to 3136 terms of order one: 2^-24 * sqrt(3136) = 3e-6, with room for three layers
    np.testing.assert_allclose(posterior.mean.numpy(), mean, atol=2e-5)
    np.testing.assert_allclose(posterior.log_var.numpy(), log_var, atol=2e-5)


def test_decoder_equals_the_keras_computation(vae: VAE, keras_vae: Any) -> None:
    latents = 5 * torch.randn(2, 16, generator=torch.Generator().manual_seed(2))
    logits = keras_vae(vae.state_dict()).decode(latents.double().numpy())[..., 0]
    with torch.no_grad():
        decoded = vae.decode(latents)
    np.testing.assert_allclose(decoded.numpy()[:, 0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert logits.std() > 0.05  # 5,000 tolerances: the weights say something
