"""Evaluation of a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode and disable gradients; restore the mode of every module at the end."""
    with eval_mode(model), torch.inference_mode():
        yield


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode, with gradients; restore the mode of every module at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
