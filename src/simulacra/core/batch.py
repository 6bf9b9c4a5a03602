"""Batches of images and the shape of the data they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class DataSpec:
    """What a family must know of its data: shape and classes, never the pixels.

    domains: the same of each of several unpaired sources, by domain name; then the shape and classes are the first domain's.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...] = ()
    domains: Mapping[str, "DataSpec"] = field(default_factory=dict, hash=False)

    def domain(self, name: str) -> "DataSpec":
        """Return what is known of one domain: all there is, where no domains are told apart."""
        return self.domains.get(name, self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, [c h w]."""
        return (self.channels, self.height, self.width)

    @property
    def dimensions(self) -> int:
        """Values in one image: channels x height x width."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Batch:
    """One batch as a turn receives it.

    images: float [b c h w] in [0, 1]; labels: int64 [b] or None.
    domains: further batches by domain name, for games on several unpaired sources; then `images` are the first domain's.
    """

    images: Tensor
    labels: Tensor | None = None
    domains: Mapping[str, "Batch"] = field(default_factory=dict)

    def __getitem__(self, domain: str) -> "Batch":
        """Return the batch of one domain."""
        return self.domains[domain]

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        domains = {name: batch.to(device) for name, batch in self.domains.items()}
        return Batch(self.images.to(device), labels, domains)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)
