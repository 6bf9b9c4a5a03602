"""Devices: where a model is, and how many images one call of it takes."""

from itertools import chain

import torch
from torch import nn

_SHARE = 0.25  # of a GPU's memory that the activations of one call may take
_BYTES_PER_VALUE = 4096  # of activations for each value of an image: about 1,000 float32 features alive in a U-Net
_MOST = 4096  # images; larger calls are not faster


def model_device(model: object) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU for a model without any."""
    if not isinstance(model, nn.Module):
        return torch.device("cpu")
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def images_per_call(device: torch.device, values_per_image: int, cpu: int) -> int:
    """Return the number of images that one call of a network takes without gradients.

    cpu: the number on CPUs, where larger calls are not faster. On GPUs it is the largest power of two whose activations take a
    quarter of the card's total memory, at most 4,096: a function of the card and of `values_per_image` (channels x height x
    width) alone, so that results on a card do not depend on what else it computes.
    """
    if device.type != "cuda":
        return cpu
    memory = torch.cuda.get_device_properties(device).total_memory
    fitting = int(_SHARE * memory) // (_BYTES_PER_VALUE * values_per_image)
    return min(_MOST, 1 << max(0, fitting.bit_length() - 1))
