"""The Inception network of the published FID: Inception-v3 (Szegedy et al. 2016) as released with TensorFlow in December 2015.

Published Fréchet inception distances (Heusel et al. 2017) use these weights, which PyTorch tools distribute as
`pt_inception-2015-12-05`. The layers have the names of that file. The network differs from the Inception-v3 of torchvision in
two points: average pooling excludes the padding, and the last block uses maximum pooling.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.errors import DataError
from simulacra.features.extractor import Network

_CLASSES = 1008
_COUNTERS = "num_batches_tracked"  # of batch normalization, which some files contain and evaluation does not use
_LISTED = 3  # wrong names in an error message

Kernel = tuple[int, int]
Steps = tuple[str, *tuple[tuple[int, Kernel], ...]]  # prefix of the names, then output maps and kernel (height, width) of each
_ONE, _THREE, _FIVE, _ROW, _COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)
_DOUBLE: Steps = ("branch3x3dbl", (64, _ONE), (96, _THREE), (96, _THREE))


class Inception(Network):
    """Inception-v3 up to global average pooling: 2048 features. The last layer, of 1008 classes, is loaded and not used.

    Images are resized to 299x299 bilinearly without antialiasing and scaled to [-1, 1], as for published numbers.
    """

    summary = "the network of the published FID; its weights must be on disk"
    paper = "Szegedy et al. 2016; Heusel et al. 2017"
    title = "Inception-2048"
    dimensions = 2048
    channels = 3
    side = 299
    batch_cpu = 32
    antialias = False

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, _THREE, stride=2, padded=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, _THREE, padded=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, _THREE)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, _ONE)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, _THREE, padded=False)
        self.Mixed_5b = _fine(192, pooled=32)
        self.Mixed_5c = _fine(256, pooled=64)
        self.Mixed_5d = _fine(288, pooled=64)
        self.Mixed_6a = _first_reduction(288)
        self.Mixed_6b = _factored(128)
        self.Mixed_6c = _factored(160)
        self.Mixed_6d = _factored(160)
        self.Mixed_6e = _factored(192)
        self.Mixed_7a = _second_reduction(768)
        self.Mixed_7b = _Coarse(1280, "mean")
        self.Mixed_7c = _Coarse(2048, "max")
        self.fc = nn.Linear(self.dimensions, _CLASSES)

    def embed(self, images: Tensor) -> Tensor:
        """Return features [b 2048] of images [b 3 299 299] in [0, 1]."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * images - 1)))  # 147x147
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))  # 71x71
        maps = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(maps, 3, 2))))  # 35x35
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(maps)))))  # 17x17
        features: Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps))).mean((2, 3))  # of 8x8
        return features


def with_weights(tensors: Mapping[str, Tensor], where: Path) -> Inception:
    """Return the network with the tensors of a file, by the file's names; raises DataError where it is another network's."""
    with torch.device("meta"):  # initialization of weights that are replaced would take a second
        network = Inception()
    expected = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.endswith(_COUNTERS)}
    found = {name: tensor.shape for name, tensor in tensors.items() if not name.endswith(_COUNTERS)}
    if problems := [*_problems(expected, found)]:
        more = f" and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise DataError(
            f"{where} does not contain the Inception network of the published FID: {'; '.join(problems[:_LISTED])}{more}. "
            "It must be pt_inception-2015-12-05, with 1008 classes and without the auxiliary classifier"
        )
    network.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)
    return network.float()


def _problems(expected: Mapping[str, torch.Size], found: Mapping[str, torch.Size]) -> Sequence[str]:
    missing = [f"{name} is missing" for name in expected if name not in found]
    strange = [f"{name} is not one of its layers" for name in found if name not in expected]
    shared = [(name, found[name], shape) for name, shape in expected.items() if name in found]
    return [
        *missing,
        *strange,
        *(f"{name} is {list(own)}, expected {list(shape)}" for name, own, shape in shared if own != shape),
    ]


class _Convolution(nn.Module):
    """Convolution without bias, batch normalization, ReLU. padded: so that stride 1 keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, maps: Tensor) -> Tensor:
        """Return normalized and rectified maps."""
        return F.relu(self.bn(self.conv(maps)))


class _Mixed(nn.Module):
    """Several paths of convolutions and one of pooling, side by side.

    pooled: output maps of the convolution after the pooling; 0 makes the block a reduction, which halves height and width: the
    last convolution of each path and the pooling, then by maximum and without a convolution, have stride 2 and no padding.
    """

    def __init__(self, inputs: int, *paths: Steps, pooled: int = 0) -> None:
        super().__init__()
        self.reduces = not pooled
        self.paths: list[list[str]] = []
        for prefix, *steps in paths:
            self.paths.append([prefix] if len(steps) == 1 else [f"{prefix}_{number}" for number in range(1, len(steps) + 1)])
            held = inputs
            for name, (outputs, kernel) in zip(self.paths[-1], steps, strict=True):
                halves = self.reduces and name == self.paths[-1][-1]
                self.add_module(name, _Convolution(held, outputs, kernel, stride=2 if halves else 1, padded=not halves))
                held = outputs
        if pooled:
            self.branch_pool = _Convolution(inputs, pooled, _ONE)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the outputs of all paths, one after the other along the channels; the pooling comes last."""
        outputs = [self._along(path, maps) for path in self.paths]
        pooled = F.max_pool2d(maps, 3, 2) if self.reduces else self.branch_pool(_mean_pool(maps))
        return torch.cat([*outputs, pooled], 1)

    def _along(self, path: Sequence[str], maps: Tensor) -> Tensor:
        for name in path:
            maps = self.get_submodule(name)(maps)
        return maps


class _Coarse(nn.Module):
    """The block of 8x8 positions, two of whose paths end in a row and a column side by side (Szegedy et al. 2016, figure 7)."""

    def __init__(self, inputs: int, pool: Literal["mean", "max"]) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Convolution(inputs, 320, _ONE)
        self.branch3x3_1 = _Convolution(inputs, 384, _ONE)
        self.branch3x3_2a = _Convolution(384, 384, (1, 3))
        self.branch3x3_2b = _Convolution(384, 384, (3, 1))
        self.branch3x3dbl_1 = _Convolution(inputs, 448, _ONE)
        self.branch3x3dbl_2 = _Convolution(448, 384, _THREE)
        self.branch3x3dbl_3a = _Convolution(384, 384, (1, 3))
        self.branch3x3dbl_3b = _Convolution(384, 384, (3, 1))
        self.branch_pool = _Convolution(inputs, 192, _ONE)

    def forward(self, maps: Tensor) -> Tensor:
        """Return [b 2048 8 8]."""
        single = self.branch3x3_1(maps)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        pooled = _mean_pool(maps) if self.pool == "mean" else F.max_pool2d(maps, 3, 1, 1)
        ends = [self.branch1x1(maps), self.branch3x3_2a(single), self.branch3x3_2b(single)]
        return torch.cat([*ends, self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)], 1)


def _mean_pool(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)


def _fine(inputs: int, pooled: int) -> _Mixed:
    """Return the block of 35x35 positions, to 224 + pooled maps (Szegedy et al. 2016, figure 5)."""
    five = ("branch5x5", (48, _ONE), (64, _FIVE))
    return _Mixed(inputs, ("branch1x1", (64, _ONE)), five, _DOUBLE, pooled=pooled)


def _first_reduction(inputs: int) -> _Mixed:
    """Return the block from 35x35 to 17x17 positions (Szegedy et al. 2016, figure 10)."""
    return _Mixed(inputs, ("branch3x3", (384, _THREE)), _DOUBLE)


def _factored(width: int) -> _Mixed:
    """Return the block of 17x17 positions, 768 maps to 768, with 7x7 as 1x7 and 7x1 (Szegedy et al. 2016, figure 6)."""
    single = ("branch7x7", (width, _ONE), (width, _ROW), (192, _COLUMN))
    double = ("branch7x7dbl", (width, _ONE), (width, _COLUMN), (width, _ROW), (width, _COLUMN), (192, _ROW))
    return _Mixed(768, ("branch1x1", (192, _ONE)), single, double, pooled=192)


def _second_reduction(inputs: int) -> _Mixed:
    """Return the block from 17x17 to 8x8 positions."""
    three = ("branch3x3", (192, _ONE), (320, _THREE))
    seven = ("branch7x7x3", (192, _ONE), (192, _ROW), (192, _COLUMN), (192, _THREE))
    return _Mixed(inputs, three, seven)
