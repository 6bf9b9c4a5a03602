"""Transfer of images to a device: a split that fits stays on the GPU as bytes, else each batch goes through pinned memory."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.data.dataset import Split

_SHARE = 0.25  # fraction of the free memory of the GPU that a split may occupy


def sent(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; the copy to a GPU is asynchronous."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def fits(split: Split, device: torch.device) -> bool:
    """Return whether the images of a split are small enough to stay on a GPU; False for the CPU."""
    return device.type == "cuda" and split.images.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]


@dataclass(frozen=True)
class Resident:
    """A split on a device: images uint8 [n h w c], labels int64 [n], [n k] for k attributes, or None."""

    images: Tensor
    labels: Tensor | None

    @classmethod
    def of(cls, split: Split, device: torch.device) -> "Resident":
        """Copy a split to a device."""
        labels = None if split.labels is None else torch.from_numpy(np.array(split.labels)).to(device)
        return cls(torch.from_numpy(np.array(split.images)).to(device), labels)

    def take(self, rows: NDArray[np.int64], mirrored: NDArray[np.bool_] | None) -> tuple[Tensor, Tensor | None]:
        """Return the images of some rows and their labels; images where `mirrored` is true are flipped left to right."""
        where = sent(rows, self.images.device)
        pixels = self.images[where]
        if mirrored is not None:
            pixels = torch.where(sent(mirrored, pixels.device)[:, None, None, None], pixels.flip(2), pixels)
        return pixels, None if self.labels is None else self.labels[where]
