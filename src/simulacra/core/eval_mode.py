"""Looking at a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, without gradients, and give every module its own mode back at the end."""
    with evaluation(model), torch.inference_mode():
        yield


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and give every module its own mode back; for losses that need gradients of their own."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
