"""The classifier of a semi-supervised model."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.kernels.memory_layout import Flatten
from simulacra.networks.mlp import ACTIVATIONS, dense
from simulacra.networks.same_padding import SameConv2d, downsampled_sizes


def image_classifier(
    data: DataSpec,
    *,
    network: Literal["conv", "dense"],
    features: Sequence[int],
    hidden: Sequence[int],
    activation: Literal["relu", "tanh", "silu"],
    dropout: float,
) -> nn.Sequential:
    """Return a network from images [b c h w] to logits [b classes], of all combinations where there are several attributes.

    network: dense layers alone, or after strided convolutions with batch norm, which have `features` maps; hidden: widths of the
    dense hidden layers; activation: after these; dropout: the rate before each dense layer.
    """
    layers: list[nn.Module] = []
    inputs, flat = data.channels, data.dimensions
    if network == "conv":
        for outputs in features:
            layers += [SameConv2d(inputs, outputs, 3, 2), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        flat = inputs * math.prod(downsampled_sizes(data.height, data.width, len(features))[-1])
    layers.append(Flatten())
    for width in hidden:
        layers += [Dropout(dropout), dense(flat, width), ACTIVATIONS[activation]()]
        flat = width
    return nn.Sequential(*layers, Dropout(dropout), dense(flat, math.prod(data.label_sizes)))
