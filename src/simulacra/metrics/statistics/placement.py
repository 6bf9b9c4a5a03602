"""Batches as a model takes them: on its device, with the condition that it accepts."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import nn

from simulacra.core.batch import Batch
from simulacra.core.condition import UNCONDITIONAL, AcceptsCondition, Condition
from simulacra.core.family import model_condition


def device_of(model: object) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU for a model without any."""
    if not isinstance(model, nn.Module):
        return torch.device("cpu")
    first = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on a device."""
    for batch in batches:
        yield batch.to(device)


def likelihood_condition(model: AcceptsCondition, batch: Batch) -> Condition:
    """Return the condition for latents and likelihoods: that of the batch, or none for models that define them without one."""
    return model_condition(model, batch) if model.conditional_likelihood else UNCONDITIONAL
