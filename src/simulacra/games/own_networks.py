"""Networks of a user's own: any torch modules in the place of those that the settings of a family describe."""

import copy
import sys
from typing import Any

import torch
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import eval_mode
from simulacra.core.family import Family

_IMAGES, _LATENTS = 2, 64  # inputs with which networks are checked


def own_copy(network: nn.Module) -> nn.Module:
    """Return a copy of a network, with its weights. Its inputs are in PyTorch's default memory layout: it may use `view`."""
    copied = copy.deepcopy(network)
    copied.register_forward_pre_hook(_contiguous)
    return copied


def checked_encoder(encoder: nn.Module, data: DataSpec) -> tuple[nn.Module, int]:
    """Return a copy of an encoder from images [b c h w] to values [b d], and d; raises UsageError for other outputs."""
    copied = own_copy(encoder)
    images = torch.rand(_IMAGES, *data.shape, generator=torch.Generator().manual_seed(0))
    shape = _output(copied, images, "encoder").shape
    if len(shape) != 2 or shape[0] != _IMAGES:
        advice = "end it with nn.Flatten() or a linear layer"
        raise UsageError(f"the encoder returns {tuple(shape)} for images {tuple(images.shape)}, expected [{_IMAGES} d]: {advice}")
    return copied, shape[1]


def checked_decoder(decoder: nn.Module, inputs: int, outputs: int, data: DataSpec, role: str = "decoder") -> nn.Module:
    """Return a copy of a decoder from [b inputs] to logits [b outputs h w].

    Raises UsageError for another shape, and where outputs for standard normal inputs are in [0, 1], like images.
    """
    copied = own_copy(decoder)
    latents = torch.randn(_LATENTS, inputs, generator=torch.Generator().manual_seed(0))
    logits, expected = _output(copied, latents, role), (_LATENTS, outputs, data.height, data.width)
    if logits.shape != expected:
        raise UsageError(f"the {role} returns {tuple(logits.shape)} for inputs {tuple(latents.shape)}, expected {expected}")
    if logits.min() >= 0 and logits.max() <= 1 and logits.min() < logits.max():
        raise UsageError(
            f"the {role} returns values in [0, 1], expected logits: remove its last activation, a sigmoid follows it"
        )
    return copied


def checked_discriminator(network: nn.Module, inputs: int, data: DataSpec) -> tuple[nn.Sequential, nn.Linear]:
    """Return copies of the layers of a discriminator before its last one, nn.Linear(f, 1), and of that.

    inputs: its input channels. Raises UsageError for another network.
    """
    *layers, head = network.children() if isinstance(network, nn.Sequential) else [nn.Identity()]
    if not isinstance(head, nn.Linear) or head.out_features != 1:
        raise UsageError("the discriminator is no nn.Sequential that ends in nn.Linear(features, 1): write it as one")
    body = own_copy(nn.Sequential(*layers))
    assert isinstance(body, nn.Sequential)
    images = torch.rand(_IMAGES, inputs, data.height, data.width, generator=torch.Generator().manual_seed(0))
    _output(nn.Sequential(body, head), images, "discriminator")
    return body, copy.deepcopy(head)


def named_family(kind: type[Family], name: str) -> None:
    """Give a class that a function `with_networks` creates its name, and the module that calls this function.

    Raises UsageError for a name that is not one of a class.
    """
    if not name.isidentifier():
        raise UsageError(f"name is {name!r}, expected the name of a class, such as MyAutoencoder")
    kind.__name__ = kind.__qualname__ = name
    kind.__module__ = sys._getframe(2).f_globals.get("__name__", "__main__")


class Concatenated(nn.Module):
    """Joins two outputs [b d] of a network to one [b 2d]; a network with one output is unchanged."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output, or both outputs one after the other."""
        outputs = self.network(inputs)
        return torch.cat(outputs, 1) if isinstance(outputs, tuple | list) else outputs


class Half(nn.Module):
    """One half of features [b 2d]: the first or the second d of them."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, features: Tensor) -> Tensor:
        """Return [b d]."""
        return features.chunk(2, 1)[self.index]


def _output(network: nn.Module, inputs: Tensor, role: str) -> Tensor:
    """Return the output without gradients; not in inference mode, in which lazy layers would create weights without gradients."""
    try:
        with eval_mode(network), torch.no_grad():
            output = network(inputs)
    except Exception as error:
        raise UsageError(f"the {role} fails on inputs of shape {tuple(inputs.shape)}: {error}") from error
    if not isinstance(output, Tensor):
        raise UsageError(f"the {role} returns a {type(output).__name__}, expected a tensor")
    return output


def _contiguous(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    # images of one channel are contiguous in both layouts, and convolutions follow their strides: only a copy changes these
    return tuple(value.clone(memory_format=torch.contiguous_format) if isinstance(value, Tensor) else value for value in inputs)
