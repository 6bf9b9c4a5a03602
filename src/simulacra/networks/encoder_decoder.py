"""Encoders from images to features and decoders from latents to images, dense and convolutional, for any image size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.networks.kernels.memory_layout import Flatten
from simulacra.networks.mlp import dense, mlp
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, halved


@dataclass(frozen=True)
class Trunk:
    """The shape that an encoder and its mirrored decoder share."""

    network: Literal["dense", "conv"]
    features: Sequence[int] = (32, 64)
    hidden: Sequence[int] = (128,)
    downsample: Literal["stride", "pool"] = "stride"
    activation: Literal["relu", "tanh", "silu"] = "relu"

    def __post_init__(self) -> None:
        if self.network == "conv" and not self.features:
            raise UsageError("features is empty: a convolutional network needs at least one number, such as 32,64")


def encoder(spec: DataSpec, trunk: Trunk) -> tuple[nn.Module, int]:
    """Return a module from images [b c h w] to features [b f], and f."""
    if trunk.network == "dense":
        layers = nn.Sequential(nn.Flatten(), *mlp(spec.dimensions, trunk.hidden, trunk.activation))
        return layers, ([spec.dimensions, *trunk.hidden])[-1]
    steps: list[nn.Module] = []
    inputs = spec.channels
    for outputs in trunk.features:
        steps += _halving(inputs, outputs, trunk.downsample)
        inputs = outputs
    height, width = _sizes(spec, trunk)[-1]
    flat = inputs * height * width
    steps += [Flatten(), *mlp(flat, trunk.hidden)]
    return nn.Sequential(*steps), ([flat, *trunk.hidden])[-1]


def decoder(spec: DataSpec, trunk: Trunk, latents: int, outputs: int) -> nn.Module:
    """Return a module from latents [b d] to `outputs` numbers per pixel, [b outputs h w], without a final non-linearity."""
    if trunk.network == "dense":
        hidden = tuple(reversed(trunk.hidden))
        last = ([latents, *hidden])[-1]
        shape = (outputs, spec.height, spec.width)
        final = dense(last, outputs * spec.height * spec.width)
        return nn.Sequential(*mlp(latents, hidden, trunk.activation), final, nn.Unflatten(1, shape))
    return _ConvDecoder(spec, trunk, latents, outputs)


class _ConvDecoder(nn.Module):
    """Dense, reshape, one transposed convolution of stride 2 per halving, and one of stride 1 to the outputs."""

    def __init__(self, spec: DataSpec, trunk: Trunk, latents: int, outputs: int) -> None:
        super().__init__()
        sizes = _sizes(spec, trunk)
        self.bottom = (trunk.features[-1], *sizes[-1])
        inputs, height, width = self.bottom
        self.dense = dense(latents, inputs * height * width)
        steps: list[nn.Module] = []
        for outer, size in zip(reversed(trunk.features), reversed(sizes[:-1]), strict=True):
            steps += [SameConvTranspose2d(inputs, outer, 3, 2, size), nn.ReLU()]
            inputs = outer
        self.up = nn.Sequential(*steps, SameConvTranspose2d(inputs, outputs, 3, 1, sizes[0]))

    def forward(self, latents: Tensor) -> Tensor:
        """Decode [b d] -> [b outputs h w]."""
        images: Tensor = self.up(self.dense(latents).unflatten(1, self.bottom))
        return images


def _halving(inputs: int, outputs: int, downsample: Literal["stride", "pool"]) -> list[nn.Module]:
    if downsample == "stride":
        return [SameConv2d(inputs, outputs, 3, 2), nn.ReLU()]
    return [SameConv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]


def _sizes(spec: DataSpec, trunk: Trunk) -> list[tuple[int, int]]:
    """Return the image size before the first and after every halving."""
    sizes = [(spec.height, spec.width)]
    for _ in trunk.features:
        sizes.append(halved(sizes[-1]))
    return sizes
