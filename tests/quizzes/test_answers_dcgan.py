"""The answers of the questions on DCGAN, computed."""

import torch
from tests.quizzes.answers import check
from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.networks.dcgan import generator_layers
from simulacra.networks.same_padding import downsampled_sizes


def batch_norm() -> nn.BatchNorm2d:
    """Return the first batch norm of a generator, with scale 1 and shift 0."""
    layer = next(item for item in generator_layers(DataSpec(1, 8, 8), 2, (1,)) if isinstance(item, nn.BatchNorm2d))
    nn.init.ones_(layer.weight)
    return layer


def feature(*values: float) -> torch.Tensor:
    """Return one feature of a batch of images of one pixel."""
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def running_mean_after_a_pass() -> float:
    layer = batch_norm()
    assert layer.running_mean is not None
    layer.running_mean.fill_(2.0)
    layer(feature(4.0, 6.0))
    return layer.running_mean.item()


def change_by_a_constant() -> float:
    values = feature(1.0, 3.0, 5.0, 7.0)
    return (batch_norm()(values + 10) - batch_norm()(values)).abs().max().item()


def normalized_value() -> float:
    return batch_norm()(feature(1.0, 3.0, 5.0, 7.0))[3].item()


ANSWERS = {
    "normalized-value": normalized_value,
    "running-average": running_mean_after_a_pass,
    "generator-without-bias": change_by_a_constant,
    "smallest-feature-maps": lambda: downsampled_sizes(28, 28, 3)[-1][0],
}


def test_the_answers_are_right():
    check("dcgan", ANSWERS)
