"""Fully connected networks."""

from collections.abc import Callable, Sequence

from torch import nn

from simulacra.networks.adversarial import leaky
from simulacra.networks.same_padding import initialize_glorot

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "leaky": leaky}


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer [b inputs] -> [b outputs] with Glorot-uniform weights and zero bias, as Keras' Dense."""
    layer = nn.Linear(inputs, outputs)
    initialize_glorot(layer)
    return layer


def mlp(inputs: int, hidden: Sequence[int], activation: str = "relu") -> nn.Sequential:
    """Return dense layers of the widths in `hidden`, each followed by the activation: [b inputs] -> [b hidden[-1]]."""
    layers: list[nn.Module] = []
    for outputs in hidden:
        layers += [dense(inputs, outputs), ACTIVATIONS[activation]()]
        inputs = outputs
    return nn.Sequential(*layers)
