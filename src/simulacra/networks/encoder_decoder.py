"""Encoders from images to features and decoders from latents to images, fully connected or convolutional, for any image size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.networks.kernels.memory_layout import Flatten
from simulacra.networks.mlp import dense, mlp
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes

BY_SIZE: Mapping[str, Mapping[str, object]] = {
    "32": {"features": (32, 64, 128), "hidden": (256,), "latent_dim": 64, "batch_norm": True},
    "64": {"features": (16, 32, 64, 128), "hidden": (256,), "latent_dim": 128, "batch_norm": True},
}
"""Presets of encoder and decoder for colour images of about this size: narrow at high resolution, for speed on CPUs."""


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """Architecture of an encoder and of its decoder, which has the encoder's layers in reverse order.

    features: feature maps of each convolution; hidden: widths of the dense hidden layers; downsample: convolutions of stride 2,
    or convolutions and max pooling; activation: of the dense network; batch_norm: after each convolution but the last (Ioffe &
    Szegedy 2015). Raises UsageError for a `conv` network without features.
    """

    network: Literal["dense", "conv"]
    features: Sequence[int] = (32, 64)
    hidden: Sequence[int] = (128,)
    downsample: Literal["stride", "pool"] = "stride"
    activation: Literal["relu", "tanh", "silu"] = "relu"
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.network == "conv" and not self.features:
            raise UsageError("features is empty: a convolutional network needs at least one number, such as 32,64")


@dataclass(frozen=True)
class NetworkConfig(Config):
    """Settings of an encoder and a decoder, which families extend."""

    network: Literal["conv", "dense"] = option("conv", "architecture: convolutional or fully connected")
    latent_dim: int = option(16, "number of latent dimensions", low=1)
    features: tuple[int, ...] = option((32, 64), "conv: feature maps after each downsampling by 2", low=1)
    hidden: tuple[int, ...] = option((128,), "widths of the encoder's dense layers (dense: mirrored in the decoder)", low=1)
    batch_norm: bool = option(False, "conv: batch norm after each convolution but the last, for faster training")

    def validate(self) -> None:
        """Raise UsageError for batch norm in a dense network."""
        super().validate()
        if self.network == "dense" and self.batch_norm:
            raise UsageError("batch_norm follows convolutions, and the network is dense: add --network conv or --no-batch-norm")

    @property
    def trunk(self) -> EncoderDecoderConfig:
        """The architecture that encoder and decoder share."""
        return EncoderDecoderConfig(self.network, self.features, self.hidden, batch_norm=self.batch_norm)


def encoder(spec: DataSpec, config: EncoderDecoderConfig) -> tuple[nn.Module, int]:
    """Return a module from images [b c h w] to features [b f], and f."""
    if config.network == "dense":
        layers = nn.Sequential(nn.Flatten(), *mlp(spec.dimensions, config.hidden, config.activation))
        return layers, ([spec.dimensions, *config.hidden])[-1]
    steps, flat = image_layers(spec, config)
    return nn.Sequential(*steps, *mlp(flat, config.hidden)), ([flat, *config.hidden])[-1]


def image_layers(spec: DataSpec, config: EncoderDecoderConfig) -> tuple[list[nn.Module], int]:
    """Return the layers of an encoder before its first dense one, from images [b c h w] to values [b f], and f."""
    if config.network == "dense":
        return [nn.Flatten()], spec.dimensions
    steps: list[nn.Module] = []
    inputs = spec.channels
    for outputs in config.features:
        steps += _downsampling_layers(inputs, outputs, config)
        inputs = outputs
    height, width = downsampled_sizes(spec.height, spec.width, len(config.features))[-1]
    return [*steps, Flatten()], inputs * height * width


def decoder(spec: DataSpec, config: EncoderDecoderConfig, latent_dim: int, outputs: int) -> nn.Module:
    """Return a module from latents [b latent_dim] to `outputs` values per pixel [b outputs h w], without a final activation."""
    if config.network == "dense":
        hidden = tuple(reversed(config.hidden))
        last = ([latent_dim, *hidden])[-1]
        shape = (outputs, spec.height, spec.width)
        final = dense(last, outputs * spec.height * spec.width)
        return nn.Sequential(*mlp(latent_dim, hidden, config.activation), final, nn.Unflatten(1, shape))
    return _ConvDecoder(spec, config, latent_dim, outputs)


class _ConvDecoder(nn.Module):
    """A dense layer, one transposed convolution of stride 2 per encoder convolution, and one of stride 1 to the outputs."""

    def __init__(self, spec: DataSpec, config: EncoderDecoderConfig, latent_dim: int, outputs: int) -> None:
        super().__init__()
        sizes = downsampled_sizes(spec.height, spec.width, len(config.features))
        self.bottom = (config.features[-1], *sizes[-1])
        inputs, height, width = self.bottom
        self.dense = dense(latent_dim, inputs * height * width)
        steps: list[nn.Module] = []
        for features, size in zip(reversed(config.features), reversed(sizes[:-1]), strict=True):
            steps += [SameConvTranspose2d(inputs, features, 3, 2, size), *_norm(features, config), nn.ReLU()]
            inputs = features
        self.up = nn.Sequential(*steps, SameConvTranspose2d(inputs, outputs, 3, 1, sizes[0]))

    def forward(self, latents: Tensor) -> Tensor:
        """Return [b outputs h w] for latents [b latent_dim]."""
        return self.up(self.dense(latents).unflatten(1, self.bottom))


def _downsampling_layers(inputs: int, outputs: int, config: EncoderDecoderConfig) -> list[nn.Module]:
    if config.downsample == "stride":
        return [SameConv2d(inputs, outputs, 3, 2), *_norm(outputs, config), nn.ReLU()]
    return [SameConv2d(inputs, outputs, 3), *_norm(outputs, config), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]


def _norm(features: int, config: EncoderDecoderConfig) -> list[nn.Module]:
    return [nn.BatchNorm2d(features)] if config.batch_norm else []
