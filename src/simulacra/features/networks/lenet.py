"""LeNet for small grey images: two convolutions and two dense layers (LeCun et al. 1998), modernized."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from simulacra.features.extractor import Classifier


class LeNet(Classifier):
    """Convolutions 5x5 with 32 and 64 maps, each followed by 2x2 max pooling, then 128 features and one output per class.

    It differs from the paper by more maps, batch normalization, ReLU and max pooling. The features are the inputs of the last
    layer, after ReLU, so they are not negative. No label smoothing, which concentrates the features of each class.
    """

    summary = "small grey images, such as digits; trained on the classes of the data in minutes"
    paper = "LeCun et al. 1998"
    title = "LeNet-128"
    dimensions = 128
    channels = 1
    side = 28
    defaults: ClassVar[Mapping[str, object]] = {"lr": 2e-3, "optimizer": "adamw", "weight_decay": 0.01}
    images = 550_000
    example = "mnist"
    mirrors = False

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.body = nn.Sequential(
            *(nn.Conv2d(self.channels, 32, 5, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),  # 28 -> 14
            *(nn.Conv2d(32, 64, 5, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),  # 14 -> 10 -> 5
            *(nn.Flatten(), nn.Linear(64 * 5 * 5, self.dimensions, bias=False), nn.BatchNorm1d(self.dimensions), nn.ReLU()),
        )

    def embed(self, images: Tensor) -> Tensor:
        """Return features [b 128] of images [b channels 28 28] in [0, 1]."""
        features: Tensor = self.body(2 * images - 1)
        return features
