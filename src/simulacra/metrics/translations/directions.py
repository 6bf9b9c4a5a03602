"""The two directions of translation between two domains, with the correct answers where they are known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.errors import UsageError
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.transforms import transform_between
from simulacra.metrics.context import EvaluationContext

_PIXELS = 250 * 32**2  # pixels per call of the model
ROUNDED = {"translated": "rounded to 256 levels"}
UNTRANSLATED = {"translated": "not at all"}
BASELINE = "The same for images without translation: the baseline that a translation has to exceed."


@dataclass(frozen=True)
class Direction:
    """One direction of translation: images of the domain `start`, and their correct translations to the domain `to` if known.

    titles: what people call both domains, for protocols.
    """

    start: str
    to: str
    images: Split
    answers: Split | None = None
    titles: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        """Raise UsageError unless there are no answers, or one for each image."""
        if self.answers is not None and len(self.answers) != len(self.images):
            raise UsageError(f"there are {len(self.images):,} images and {len(self.answers):,} answers, expected equal numbers")

    def chunks(self, device: torch.device) -> Iterator[Batch]:
        """Yield the images in chunks on a device."""
        return (batch.to(device) for batch in _chunks(self.images, self.images))

    def pairs(self, device: torch.device) -> Iterator[tuple[Batch, Tensor]]:
        """Yield the images in chunks with their answers, float [b c h w] in [0, 1]."""
        for batch, answers in zip(self.chunks(device), _chunks(self.answers or self.images, self.images), strict=True):
            yield batch, answers.images.to(device)

    def protocol(self, translated: dict[str, str]) -> dict[str, Any]:
        """Return the facts of the direction in the protocol of a number."""
        start, to = self.titles
        return {"from": start or self.start, "to": to or self.to, **translated}


def labelled_chunks(split: Split, domain: str) -> Iterator[tuple[Batch, Tensor]]:
    """Yield images with their labels in chunks; raises UsageError for images without labels."""
    if split.class_labels is None:
        raise UsageError(f"the images of domain {domain} have no labels, which the accuracy of translations needs")
    for batch in _chunks(split, split):
        assert batch.labels is not None
        yield batch, batch.labels


def directions(context: EvaluationContext) -> list[Direction]:
    """Return both directions between two domains, with answers where one domain is a known transform of the other."""
    domains = context.opened.dataset.domains
    known = original(domains) is not None
    held_out = {name: context.held_out(data) for name, data in domains.items()}
    ways, title = zip(domains, reversed(tuple(domains)), strict=True), context.opened.spec.domain_title
    return [
        Direction(start, to, held_out[start], held_out[to] if known else None, (title(start), title(to))) for start, to in ways
    ]


def original(domains: Mapping[str, Dataset]) -> str | None:
    """Return the domain of which the other one is a known transform; None where neither is."""
    first, second = domains
    if transform_between(domains[first], domains[second]):
        return first
    return second if transform_between(domains[second], domains[first]) else None


def _chunks(split: Split, sizes: Split) -> Iterator[Batch]:
    """Yield a split in chunks of as many images as the size of the images in `sizes` allows."""
    height, width = sizes.images.shape[1:3]
    return split.chunks(max(1, _PIXELS // (height * width)))
