"""The networks of CycleGAN (Zhu et al. 2017, section 7.2) for images of any size: ResNet generators and PatchGAN discriminators.

Networks rescale images to [-1, 1]; the generator's sigmoid equals the paper's tanh on this scale. Convolutions with a stride use
`same` padding. Instance normalization (Ulyanov et al. 2016) has statistics per feature map and image, so batches of one image
work and images do not depend on each other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.networks.adversarial import leaky
from simulacra.networks.dcgan import Rescale, initialize_weights
from simulacra.networks.kernels.convolution import ConvGeometry, conv2d
from simulacra.networks.kernels.normalization import group_norm
from simulacra.networks.kernels.transposed_convolution import conv_transpose2d
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes, same_output_size

_EPS = 1e-5  # added to the variance of a feature map
_NINE_BLOCKS_FROM = 256  # pixels: image side from which the paper uses 9 residual blocks instead of 6 (section 7.2)
_MAX_STRIDED_LAYERS = 3  # a receptive field of 70 pixels
_MAX_RECEPTIVE_FIELD = 5 / 8  # as a fraction of the shorter image side


class InstanceNorm(nn.Module):
    """Normalize each feature map of each image to mean 0 and variance 1; feature maps of a single pixel are not changed."""

    def forward(self, features: Tensor) -> Tensor:
        """Return [b c h w]."""
        if features.shape[2] * features.shape[3] == 1:
            return features
        if len(features) == 1:  # then batch norm is the same, and needs no conversion of the memory layout
            return F.batch_norm(features, None, None, training=True, eps=_EPS)
        return group_norm(features, features.shape[1], eps=_EPS)  # equals nn.InstanceNorm2d, several times faster


class ReflectionPaddedConv2d(nn.Module):
    """Convolution with stride 1 and reflection padding that keeps the image size.

    A single output channel is computed as a transposed convolution, the same layer with its kernel rotated by 180 degrees,
    because that has a fast implementation (networks/kernels/transposed_convolution.py).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, 1, kernel) if outputs == 1 else nn.Conv2d(inputs, outputs, kernel)

    def forward(self, features: Tensor) -> Tensor:
        """Return [b outputs h w] for features [b inputs h w]."""
        kernel = self.conv.kernel_size[0]
        rows, columns = features.shape[-2:]
        padded = reflection_padded(features, kernel // 2)
        assert self.conv.bias is not None
        if isinstance(self.conv, nn.Conv2d):
            return conv2d(padded, self.conv.weight, self.conv.bias, ConvGeometry(1))
        return conv_transpose2d(padded, self.conv.weight, self.conv.bias, 1, ((kernel - 1, rows), (kernel - 1, columns)))


def reflection_padded(features: Tensor, padding: int) -> Tensor:
    """Pad features [b c h w] by reflection; by replication if a side has no more than `padding` pixels."""
    mode = "reflect" if min(features.shape[-2:]) > padding else "replicate"
    return F.pad(features, (padding, padding, padding, padding), mode=mode)


class ResidualBlock(nn.Module):
    """Residual block of two 3x3 convolutions (He et al. 2015; Johnson et al. 2016)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        first, second = ReflectionPaddedConv2d(features, features, 3), ReflectionPaddedConv2d(features, features, 3)
        self.layers = nn.Sequential(first, InstanceNorm(), nn.ReLU(), second, InstanceNorm())

    def forward(self, features: Tensor) -> Tensor:
        """Return [b features h w]."""
        residual: Tensor = self.layers(features)
        return features + residual


class ResNetGenerator(nn.Module):
    """Generator from images of one domain to images of another (Zhu et al. 2017, section 7.2).

    c7s1-k, `downsamplings` convolutions of stride 2 that double the features, `blocks` residual blocks, as many transposed
    convolutions of stride 2, and c7s1 to the target's channels. If the domains have different image sizes, all layers work at the
    larger height and width, so that no input pixels are lost.
    """

    def __init__(self, source: DataSpec, target: DataSpec, features: int, blocks: int, downsamplings: int) -> None:
        super().__init__()
        self.size = (max(source.height, target.height), max(source.width, target.width))
        self.target = (target.height, target.width)
        sizes = downsampled_sizes(*self.size, downsamplings)
        layers: list[nn.Module] = [Rescale(), ReflectionPaddedConv2d(source.channels, features, 7), InstanceNorm(), nn.ReLU()]
        for _ in range(downsamplings):
            layers += [SameConv2d(features, 2 * features, 3, 2), InstanceNorm(), nn.ReLU()]
            features *= 2
        layers += [ResidualBlock(features) for _ in range(blocks)]
        for size in reversed(sizes[:-1]):
            layers += [SameConvTranspose2d(features, features // 2, 3, 2, size), InstanceNorm(), nn.ReLU()]
            features //= 2
        self.layers = initialize_weights(nn.Sequential(*layers, ReflectionPaddedConv2d(features, target.channels, 7)))

    def forward(self, images: Tensor) -> Tensor:
        """Return images float32 [b c' h' w'] in [0, 1] for images [b c h w] in [0, 1]."""
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear")
        logits: Tensor = self.layers(images).float()
        if self.target != self.size:
            logits = F.adaptive_avg_pool2d(logits, self.target)
        return torch.sigmoid(logits)


def residual_block_count(height: int, width: int) -> int:
    """Return the paper's number of residual blocks for an image size in pixels (Zhu et al. 2017, section 7.2)."""
    return 9 if max(height, width) >= _NINE_BLOCKS_FROM else 6


def patch_discriminator(data: DataSpec, features: int) -> nn.Sequential:
    """Return a PatchGAN discriminator: images [b c h w] in [0, 1] -> one logit per patch [b 1 h' w'] (Isola et al. 2016).

    C64-C128-C256-C512 and a convolution to one channel, with `features` for 64 and `strided_layer_count` strided layers.
    """
    strides = strided_layer_count(min(data.height, data.width))
    layers: list[nn.Module] = [Rescale()]
    inputs, size = data.channels, (data.height, data.width)
    for index, stride in enumerate([2] * strides + [1]):
        outputs = features * 2**index
        layers += [SameConv2d(inputs, outputs, 4, stride), InstanceNorm() if index else nn.Identity(), leaky()]
        inputs, size = outputs, same_output_size(size, stride)
    return initialize_weights(nn.Sequential(*layers, SameConvTranspose2d(inputs, 1, 4, 1, size)))


def strided_layer_count(side: int) -> int:
    """Return the number of discriminator layers with stride 2 for a shorter image side in pixels.

    The largest number, at most 3, whose receptive field is at most 5/8 of the side; 0 if there is none.

    >>> counts = [(side, strided_layer_count(side)) for side in (8, 28, 32, 64, 128, 256)]
    >>> [(side, count, receptive_field(count)) for side, count in counts]
    [(8, 0, 7), (28, 1, 16), (32, 1, 16), (64, 2, 34), (128, 3, 70), (256, 3, 70)]
    """
    counts = range(1, _MAX_STRIDED_LAYERS + 1)
    return max((count for count in counts if receptive_field(count) <= _MAX_RECEPTIVE_FIELD * side), default=0)


def receptive_field(strided_layers: int) -> int:
    """Return the side in pixels of the receptive field of one discriminator logit."""
    return 9 * 2**strided_layers - 2  # 7 without strided layers; each maps a side of n to 2 n + 2
