"""The networks of CycleGAN (Zhu et al. 2017, section 7.2) for images of any size: residual translators and patch critics.

Images are scaled to [-1, 1] on the way in, and a translator's sigmoid is the paper's tanh on that scale. Sizes that a halving
does not divide are padded inside, as `same` convolutions are. Normalization is over the pixels of each feature map of each image
alone (Ulyanov et al. 2016), so that a batch of one image trains, and no image depends on another.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.networks.adversarial import leaky
from simulacra.networks.dcgan import Centered, initialized
from simulacra.networks.kernels.normalization import group_norm
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, halved

_EPS = 1e-5  # added to a feature map's variance
_LARGE = 256  # pixels, from which on nine blocks are used instead of six (section 7.2)
_SMALLEST_PATCH = 7  # pixels that a critic without strides judges together
_MOST_STRIDES = 3  # of a critic: patches of 70 pixels
_PATCH = 5 / 8  # of the shorter side: the largest patch


class InstanceNorm(nn.Module):
    """Brings every feature map of every image to mean 0 and variance 1; a map of a single pixel is left as it is."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalize [b c h w]."""
        if features.shape[2] * features.shape[3] == 1:
            return features
        return group_norm(features, features.shape[1], eps=_EPS)  # as the stock instance norm, several times faster


class MirroredConv2d(nn.Module):
    """Convolution of stride 1 that keeps the size: beyond its borders an image continues as its mirror image.

    A single output channel is computed as a transposed convolution, the same layer with its kernel turned by 180 degrees, since
    that has a fast path (`networks/kernels/transposed_convolution.py`).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, 1, kernel) if outputs == 1 else nn.Conv2d(inputs, outputs, kernel)

    def forward(self, features: Tensor) -> Tensor:
        """Return [b outputs h w] of features [b inputs h w]."""
        kernel = self.conv.kernel_size[0]
        rows, columns = features.shape[-2:]
        padded = mirrored(features, kernel // 2)
        if isinstance(self.conv, nn.Conv2d):
            convolved: Tensor = self.conv(padded)
            return convolved
        assert self.conv.bias is not None
        return conv_transpose2d(padded, self.conv.weight, self.conv.bias, 1, ((kernel - 1, rows), (kernel - 1, columns)))


def mirrored(features: Tensor, border: int) -> Tensor:
    """Return features [b c h w] continued by mirroring; by repeating the border where there is too little to mirror."""
    mode = "reflect" if min(features.shape[-2:]) > border else "replicate"
    return F.pad(features, (border, border, border, border), mode=mode)


class Residual(nn.Module):
    """Two convolutions 3x3 whose result is added to their input (He et al. 2015, as Johnson et al. 2016 use it)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        first, second = MirroredConv2d(features, features, 3), MirroredConv2d(features, features, 3)
        self.layers = nn.Sequential(first, InstanceNorm(), nn.ReLU(), second, InstanceNorm())

    def forward(self, features: Tensor) -> Tensor:
        """Return [b features h w]."""
        changed: Tensor = self.layers(features)
        return features + changed


class Translator(nn.Module):
    """Makes images of one domain from images of another.

    c7s1-k, `halvings` halvings that double the features, `blocks` residual blocks, as many doublings, c7s1 to the channels.
    Domains of different sizes are translated at the larger of both, so that nothing is lost on the way in.
    """

    def __init__(self, source: DataSpec, target: DataSpec, features: int, blocks: int, halvings: int) -> None:
        super().__init__()
        self.size = (max(source.height, target.height), max(source.width, target.width))
        self.target = (target.height, target.width)
        sizes = [self.size]
        layers: list[nn.Module] = [Centered(), MirroredConv2d(source.channels, features, 7), InstanceNorm(), nn.ReLU()]
        for _ in range(halvings):
            layers += [SameConv2d(features, 2 * features, 3, 2), InstanceNorm(), nn.ReLU()]
            features *= 2
            sizes.append(halved(sizes[-1]))
        layers += [Residual(features) for _ in range(blocks)]
        for size in reversed(sizes[:-1]):
            layers += [SameConvTranspose2d(features, features // 2, 3, 2, size), InstanceNorm(), nn.ReLU()]
            features //= 2
        self.layers = initialized(nn.Sequential(*layers, MirroredConv2d(features, target.channels, 7)))

    def forward(self, images: Tensor) -> Tensor:
        """Return images float32 [b c' h' w'] in [0, 1] from images [b c h w] in [0, 1]."""
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear")
        logits: Tensor = self.layers(images).float()
        if self.target != self.size:
            logits = F.adaptive_avg_pool2d(logits, self.target)
        return torch.sigmoid(logits)


def blocks_for(height: int, width: int) -> int:
    """Return how many residual blocks the paper uses at a size (section 7.2)."""
    return 9 if max(height, width) >= _LARGE else 6


def patch_critic(data: DataSpec, features: int) -> nn.Sequential:
    """Return a critic that judges overlapping patches: from images [b c h w] in [0, 1] to logits [b 1 h' w'] (Isola et al. 2016).

    C64-C128-C256-C512 and a last layer to one channel, with `features` in place of 64 and as many strides as suit the size.
    """
    strides = strides_for(min(data.height, data.width))
    layers: list[nn.Module] = [Centered()]
    inputs, size = data.channels, (data.height, data.width)
    for index, stride in enumerate([2] * strides + [1]):
        outputs = features * 2**index
        layers += [SameConv2d(inputs, outputs, 4, stride), InstanceNorm() if index else nn.Identity(), leaky()]
        inputs, size = outputs, halved(size, stride)
    return initialized(nn.Sequential(*layers, SameConvTranspose2d(inputs, 1, 4, 1, size)))


def strides_for(side: int) -> int:
    """Return how many strided layers a critic has: as many as keep its patches within 5/8 of the shorter side, at most 3.

    >>> [(side, strides_for(side), patch(strides_for(side))) for side in (8, 28, 32, 64, 128, 256)]
    [(8, 0, 7), (28, 1, 16), (32, 1, 16), (64, 2, 34), (128, 3, 70), (256, 3, 70)]
    """
    fitting = [strides for strides in range(1, _MOST_STRIDES + 1) if patch(strides) <= _PATCH * side]
    return max(fitting, default=0)


def patch(strides: int) -> int:
    """Return the side in pixels of what one logit of a critic sees."""
    side = _SMALLEST_PATCH
    for _ in range(strides):
        side = 2 * side + 2
    return side
