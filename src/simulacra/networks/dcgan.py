"""The networks of DCGAN (Radford et al. 2015) for images of any size.

Kernels are 4x4 instead of the paper's 5x5: a kernel size that the stride of 2 divides avoids checkerboard artifacts (Odena et al.
2016). Convolutions use `same` padding. The discriminator rescales images to [-1, 1]; the generator's layers return logits whose
sigmoid equals the paper's tanh on this scale.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.networks.adversarial import leaky
from simulacra.networks.kernels.memory_layout import Flatten, Unflatten
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes

Norm = Literal["batch", "layer", "none"]

_INIT_STD = 0.02  # standard deviation of initial weights (Radford et al. 2015, section 3)
_MOMENTUM = 0.1  # weight of the newest batch in the running statistics of batch norm


class Rescale(nn.Module):
    """Rescale images from [0, 1] to [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return 2 * images - 1."""
        return 2 * images - 1


def generator_layers(data: DataSpec, noise: int, features: Sequence[int]) -> nn.Sequential:
    """Return layers from noise [b noise] to image logits [b c h w].

    `features` are the discriminator's feature maps from the first to the last convolution; the generator uses them in reverse.
    Batch norm and ReLU follow every layer but the last. Raises UsageError if `features` is empty.
    """
    sizes = _feature_map_sizes(data, features)
    inputs, (height, width) = features[-1], sizes[-1]
    first = nn.Linear(noise, inputs * height * width, bias=False)
    layers: list[nn.Module] = [first, Unflatten(1, (inputs, height, width)), _norm_layer(inputs, "batch"), nn.ReLU()]
    for outputs, size in zip(reversed(features[:-1]), reversed(sizes[1:-1]), strict=True):
        layers += [SameConvTranspose2d(inputs, outputs, 4, 2, size), _norm_layer(outputs, "batch"), nn.ReLU()]
        inputs = outputs
    return initialize_weights(nn.Sequential(*layers, SameConvTranspose2d(inputs, data.channels, 4, 2, sizes[0])))


def discriminator_body(data: DataSpec, channels: int, features: Sequence[int], norm: Norm) -> tuple[nn.Sequential, int]:
    """Return layers from images [b channels h w] in [0, 1] to features [b f], and f.

    Convolutions of stride 2, each with normalization, except the first, and LeakyReLU. Raises UsageError without features.
    """
    layers: list[nn.Module] = [Rescale()]
    for index, outputs in enumerate(features):
        layers += [SameConv2d(channels, outputs, 4, 2), _norm_layer(outputs, norm if index else "none"), leaky()]
        channels = outputs
    height, width = _feature_map_sizes(data, features)[-1]
    return initialize_weights(nn.Sequential(*layers, Flatten())), channels * height * width


def initialize_weights(network: nn.Sequential) -> nn.Sequential:
    """Draw weights from N(0, 0.02^2) and batch norm's scales from N(1, 0.02^2), set biases to zero, and return the network."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=_INIT_STD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=_INIT_STD)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def _feature_map_sizes(data: DataSpec, features: Sequence[int]) -> list[tuple[int, int]]:
    if not features:
        raise UsageError("features is empty: a convolutional network needs at least one number, such as 64,128")
    return downsampled_sizes(data.height, data.width, len(features))


def _norm_layer(channels: int, norm: Norm) -> nn.Module:
    """Return the normalization layer; `layer` normalizes over channels and pixels of each image (Ba et al. 2016)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=_MOMENTUM)
    return nn.GroupNorm(num_groups=1, num_channels=channels) if norm == "layer" else nn.Identity()
