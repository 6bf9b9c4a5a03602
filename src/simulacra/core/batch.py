"""Batches of images and the shape of the data they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simulacra.core.attribute import Attribute
from simulacra.core.condition import Condition
from simulacra.core.errors import unknown
from simulacra.core.fit import Fit
from simulacra.core.vocabulary import Vocabulary

__all__ = ["Attribute", "Batch", "DataSpec"]


@dataclass(frozen=True)
class DataSpec:
    """The specification of images: shape, classes and attributes.

    classes: names of the classes; where there are several attributes, the values of the first. attributes: all labelled
    properties, empty where there is at most one; labels are [n k] for k of them. domains: the specification of each of several
    unpaired sources, by domain name; then shape and classes are those of the first. vocabulary: of the captions of the training
    images, None without captions or where it is not a small one. fit, levels: how other images are brought to this shape, and
    which of their values become black and white if they have more than 8 bits, None for all. domain_names: what people call the
    domains, by domain name, such as the names of their folders; empty if they are called as the family does.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...] = ()
    domains: Mapping[str, "DataSpec"] = field(default_factory=dict, hash=False)
    attributes: tuple[Attribute, ...] = ()
    vocabulary: Vocabulary | None = None
    domain_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    fit: Fit = "crop"
    levels: tuple[float, float] | None = None

    @property
    def treatment(self) -> dict[str, Any]:
        """How images are brought to this shape, where it differs from the default: `fit`, `levels`."""
        levels = {"levels": list(self.levels)} if self.levels else {}
        return levels if self.fit == "crop" else {"fit": self.fit, **levels}

    @property
    def label_sizes(self) -> tuple[int, ...]:
        """Number of values of each labelled property: one for classes, several for attributes, empty without labels."""
        if self.attributes:
            return tuple(len(attribute.values) for attribute in self.attributes)
        return (len(self.classes),) if self.classes else ()

    def domain(self, name: str) -> "DataSpec":
        """Return the specification of one domain; of data without domains, the specification itself."""
        return self.domains.get(name, self)

    def domain_title(self, name: str) -> str:
        """Return what a domain is called in texts and in names of files."""
        return self.domain_names.get(name, name)

    def domain_called(self, title: str) -> str:
        """Return the domain that people call so, in upper or lower case; raises UsageError for an unknown one.

        >>> spec = DataSpec(1, 8, 8, domain_names={"a": "summer", "b": "winter"})
        >>> spec.domain_called("Winter"), spec.domain_called("b")
        ('b', 'b')
        """
        known = {name: name for name in self.domains or self.domain_names}
        known |= {called.lower(): name for name, called in self.domain_names.items()}
        if (name := title if title in known else title.lower()) in known:
            return known[name]
        raise unknown("domain", title, [self.domain_title(name) for name in self.domains])

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
    """One batch of training images.

    images: float [b c h w] in [0, 1]; condition: the conditions of the images, such as labels. domains: batches by domain name
    for families that train on several unpaired sources; then `images` and `condition` are those of the first domain.
    """

    images: Tensor
    condition: Condition = field(default_factory=Condition)
    domains: Mapping[str, "Batch"] = field(default_factory=dict)

    @property
    def labels(self) -> Tensor | None:
        """Class labels int64 [b]: the first attribute where there are several, None where images have no labels."""
        labels = self.condition.labels
        return labels if labels is None or labels.ndim == 1 else labels[:, 0]

    def __getitem__(self, domain: str) -> "Batch":
        """Return the batch of one domain."""
        return self.domains[domain]

    def rows(self, rows: slice | Tensor) -> "Batch":
        """Return some images of the batch, and of each of its domains."""
        domains = {name: batch.rows(rows) for name, batch in self.domains.items()}
        return Batch(self.images[rows], self.condition[rows], domains)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        domains = {name: batch.to(device) for name, batch in self.domains.items()}
        return Batch(self.images.to(device), self.condition.to(device), domains)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)
