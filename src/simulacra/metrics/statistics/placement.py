"""Moving batches to the device of a model."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import nn

from simulacra.core.batch import Batch


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
