"""Networks of models of an image given another image: encoders with feature maps at every resolution, a decoder that adds them.

The decoder is a U-Net's (Ronneberger et al. 2015) with a latent vector at its bottom. A convolution of two concatenated feature
maps is the sum of a convolution of each. The part that depends on the given image alone is computed by its encoder, once for
all latent vectors, and the decoder adds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simulacra.networks.kernels.memory_layout import Unflatten, flatten
from simulacra.networks.mlp import dense, mlp
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes


@dataclass(frozen=True)
class ConditionalConfig:
    """Architecture for images of `size` (h, w).

    features: feature maps after each downsampling by 2; blocks: residual blocks at each of these resolutions; hidden: widths of
    the dense layers of each encoder.
    """

    size: tuple[int, int]
    features: Sequence[int]
    blocks: int
    hidden: Sequence[int]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Image size (h, w) before the first and after each downsampling."""
        return downsampled_sizes(*self.size, len(self.features))

    @property
    def flat(self) -> int:
        """Number of values of the last feature maps."""
        height, width = self.sizes[-1]
        return self.features[-1] * height * width

    @property
    def width(self) -> int:
        """Width of the features that an encoder returns."""
        return ([self.flat, *self.hidden])[-1]


class ResidualBlock(nn.Module):
    """Returns features + conv(relu(conv(relu(features)))), [b f h w]; the last convolution starts at zero."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), SameConv2d(features, features, 3), nn.ReLU(), SameConv2d(features, features, 3))
        last = self.layers[-1]
        assert isinstance(last, SameConv2d)
        nn.init.zeros_(last.conv.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return [b f h w]."""
        return features + self.layers(features)


class ImageEncoder(nn.Module):
    """Maps images [b inputs h w] to features [b width] and to the feature maps at every resolution."""

    def __init__(self, inputs: int, config: ConditionalConfig) -> None:
        super().__init__()
        levels = []
        for features in config.features:
            blocks = [ResidualBlock(features) for _ in range(config.blocks)]
            levels.append(nn.Sequential(SameConv2d(inputs, features, 3, 2), *blocks, nn.ReLU()))
            inputs = features
        self.levels = nn.ModuleList(levels)
        self.dense = mlp(config.flat, config.hidden)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return features [b width], and feature maps [b f h w] from the highest resolution to the lowest."""
        maps: list[Tensor] = []
        for level in self.levels:
            maps.append(level(maps[-1] if maps else images))
        return self.dense(flatten(maps[-1])), maps


class ConditionEncoder(nn.Module):
    """Maps a given image [b inputs h w] to features [b width] and to what the decoder adds at each of its resolutions."""

    def __init__(self, inputs: int, config: ConditionalConfig) -> None:
        super().__init__()
        self.encoder = ImageEncoder(inputs, config)
        *widths, last = decoder_widths(config.features)
        maps = (SameConv2d(below, width, 1) for below, width in zip(reversed(config.features), widths, strict=True))
        self.skips = nn.ModuleList([*maps, SameConv2d(inputs, last, 3)])
        self.bottom = _bottom(config.width, config)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return features [b width], and feature maps for the decoder, from the lowest resolution to that of the image."""
        features, maps = self.encoder(images)
        lowest, *skips = (skip(values) for skip, values in zip(self.skips, reversed([images, *maps]), strict=True))
        return features, [lowest + self.bottom(features), *skips]


class ConditionalDecoder(nn.Module):
    """Maps latents [b d] and the feature maps of a `ConditionEncoder` to values per pixel, without a final activation."""

    def __init__(self, latent_dim: int, outputs: int, config: ConditionalConfig) -> None:
        super().__init__()
        widths, sizes = decoder_widths(config.features), list(reversed(config.sizes))
        self.bottom = _bottom(latent_dim, config)
        self.up = nn.ModuleList(
            SameConvTranspose2d(below, above, 3, 2, size)
            for below, above, size in zip(widths, widths[1:], sizes[1:], strict=False)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)), nn.ReLU()) for width in widths[:-1]
        )
        self.last = nn.Sequential(nn.ReLU(), SameConv2d(widths[-1], outputs, 3))

    def forward(self, latents: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Return [b outputs h w]."""
        features = self.bottom(latents) + skips[0]
        for blocks, up, skip in zip(self.blocks, self.up, skips[1:], strict=True):
            features = up(blocks(features)) + skip
        return self.last(features)


def _bottom(inputs: int, config: ConditionalConfig) -> nn.Module:
    """Return a linear layer from vectors [b inputs] to feature maps of the lowest resolution."""
    return nn.Sequential(dense(inputs, config.flat), Unflatten(1, (config.features[-1], *config.sizes[-1])))


def decoder_widths(features: Sequence[int]) -> list[int]:
    """Return the number of feature maps of the decoder at each resolution, from the lowest to that of the image.

    >>> decoder_widths((32, 64))
    [64, 64, 32]
    """
    return [features[-1], *reversed(features)]


def repeated(values: Tensor, times: int) -> Tensor:
    """Return values [b ...] repeated along the first axis, [times*b ...], in their memory layout."""
    if times == 1:
        return values
    return torch.cat([values] * times)
