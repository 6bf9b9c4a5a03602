"""ResNet-18 for small colour images (He et al. 2016), with a stem for 32x32 pixels."""

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.features.extractor import Classifier

_WIDTHS = (64, 128, 256, 512)


class ResNet18(Classifier):
    """A 3x3 convolution, eight residual blocks in four stages of 64, 128, 256 and 512 maps, and global average pooling.

    Unlike the network for ImageNet (He et al. 2016, table 1), the first convolution is 3x3 with stride 1 without max pooling, so
    that the last maps of 32x32 pixels have 4x4 positions. Where a shortcut changes its shape it is a 1x1 convolution (option B).
    """

    summary = "small colour images; trained on the classes of the data, hours on a CPU"
    paper = "He et al. 2016"
    title = "ResNet18-512"
    dimensions = 512
    channels = 3
    side = 32
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-3, "optimizer": "adamw", "weight_decay": 0.05}
    images = 500_000
    example = "cifar10"
    mirrors = True

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        blocks, inputs = [], _WIDTHS[0]
        for stage, outputs in enumerate(_WIDTHS):
            blocks += [_Block(inputs, outputs, stride=1 if stage == 0 else 2), _Block(outputs, outputs, stride=1)]
            inputs = outputs
        self.stem = nn.Sequential(*_convolution(self.channels, _WIDTHS[0], 3, 1), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)

    def embed(self, images: Tensor) -> Tensor:
        """Return features [b 512] of images [b 3 32 32] in [0, 1]."""
        maps: Tensor = self.blocks(self.stem(2 * images - 1))
        return maps.mean((2, 3))


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, figure 2): [b inputs h w] -> [b outputs h/stride w/stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(*_convolution(inputs, outputs, 3, stride), nn.ReLU(), *_convolution(outputs, outputs, 3, 1))
        unchanged = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if unchanged else nn.Sequential(*_convolution(inputs, outputs, 1, stride))

    def forward(self, maps: Tensor) -> Tensor:
        """Add and rectify."""
        return F.relu(self.residual(maps) + self.shortcut(maps))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    """Return a convolution, initialized for rectifiers (He et al. 2015, eq. 10), and its batch normalization."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer, nn.BatchNorm2d(outputs)
