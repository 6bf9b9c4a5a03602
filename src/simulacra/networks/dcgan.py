"""The networks of DCGAN (Radford et al. 2015) for any image size: strided convolutions, and transposed ones that mirror them.

Kernels are 4x4, which the stride of 2 divides: the paper's 5x5 overlap unevenly and leave a checkerboard (Odena et al. 2016).
Sizes that a halving does not divide are padded inside, as `same` convolutions are. Images are scaled to [-1, 1] on the way in,
and the generator's sigmoid is the paper's tanh on that scale.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.networks.adversarial import leaky
from simulacra.networks.kernels.memory_layout import Flatten, Unflatten
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, halved

Norm = Literal["batch", "layer", "none"]

_SPREAD = 0.02  # standard deviation of initial weights (Radford et al. 2015, section 3)
_MOMENTUM = 0.1  # share of the newest batch in the running statistics


class Centered(nn.Module):
    """Scales images from [0, 1] to [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """Scale."""
        return 2 * images - 1


def generator_layers(data: DataSpec, noise: int, features: Sequence[int]) -> nn.Sequential:
    """Return layers from noise [b noise] to what the sigmoid makes images of: [b c h w].

    `features` are those of the discriminator, after each halving: here they come in reverse. Every layer but the last is followed
    by batch norm and ReLU.
    """
    sizes = sizes_of(data, features)
    inputs, (height, width) = features[-1], sizes[-1]
    first = nn.Linear(noise, inputs * height * width, bias=False)
    layers: list[nn.Module] = [first, Unflatten(1, (inputs, height, width)), _normalized(inputs, "batch"), nn.ReLU()]
    for outputs, size in zip(reversed(features[:-1]), reversed(sizes[1:-1]), strict=True):
        layers += [SameConvTranspose2d(inputs, outputs, 4, 2, size), _normalized(outputs, "batch"), nn.ReLU()]
        inputs = outputs
    return initialized(nn.Sequential(*layers, SameConvTranspose2d(inputs, data.channels, 4, 2, sizes[0])))


def discriminator_body(data: DataSpec, channels: int, features: Sequence[int], norm: Norm) -> tuple[nn.Sequential, int]:
    """Return layers from images [b channels h w] in [0, 1] to features [b f], and f; the first layer is not normalized."""
    layers: list[nn.Module] = [Centered()]
    for index, outputs in enumerate(features):
        layers += [SameConv2d(channels, outputs, 4, 2), _normalized(outputs, norm if index else "none"), leaky()]
        channels = outputs
    height, width = sizes_of(data, features)[-1]
    return initialized(nn.Sequential(*layers, Flatten())), channels * height * width


def sizes_of(data: DataSpec, features: Sequence[int]) -> list[tuple[int, int]]:
    """Return the image size before the first and after every halving; raises UsageError where there is none."""
    if not features:
        raise UsageError("features is empty: a convolutional network needs at least one number, such as 64,128")
    sizes = [(data.height, data.width)]
    for _ in features:
        sizes.append(halved(sizes[-1]))
    return sizes


def initialized(network: nn.Sequential) -> nn.Sequential:
    """Draw weights from N(0, 0.02) and batch norm's scales from N(1, 0.02); biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=_SPREAD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=_SPREAD)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def _normalized(channels: int, norm: Norm) -> nn.Module:
    """Return the normalization of feature maps; `layer` is over channels and pixels of each image alone (Ba et al. 2016)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=_MOMENTUM)
    return nn.GroupNorm(num_groups=1, num_channels=channels) if norm == "layer" else nn.Identity()
