"""Translation between the domains of a model, in batches, and back to the source domain."""

import torch
from torch import Tensor

from simulacra.core.capabilities import Translates, require
from simulacra.core.errors import unknown
from simulacra.runs.opened import OpenedRun, check_images

_BATCH, _PIXELS = 256, 2**20  # images per call of a generator, and pixels per call at most

Cycle = tuple[Tensor, Tensor, Tensor]
"""Images of one domain, their translations, and these translated back: float [n c h w] in [0, 1], in the shape of each domain."""


def source_domain(model: Translates, to: str) -> str:
    """Return the domain whose images are translated to `to`; raises UsageError for an unknown domain."""
    if to not in model.domains:
        raise unknown("domain", to, model.domains)
    return next(name for name in model.domains if name != to)


def translate_cycle(model: Translates, images: Tensor, to: str) -> Cycle:
    """Return images, their translations to the domain `to`, and the translations of these back to the source domain.

    They are computed in batches, on the device of the images.
    """

    def translated(images: Tensor, to: str) -> Tensor:
        return torch.cat([model.translate(batch, to) for batch in images.split(batch_size(*images.shape[2:]))])

    there = translated(images, to)
    return images, there, translated(there, source_domain(model, to))


def batch_size(height: int, width: int) -> int:
    """Return the number of images of this size that are translated in one call."""
    return max(1, min(_BATCH, _PIXELS // (height * width)))


def source_of(opened: OpenedRun, to: str) -> str:
    """Return the domain whose images are translated to the domain `to`; raises NotApplicable, UsageError."""
    return source_domain(require(opened.model, Translates, "translation"), opened.spec.domain_called(to))


def title_of(opened: OpenedRun, domain: str) -> str:
    """Return what a domain is called, from any of its names."""
    return opened.spec.domain_title(opened.spec.domain_called(domain))


def translate(opened: OpenedRun, images: Tensor, to: str) -> Tensor:
    """Return images of the domain `to` from images [n c h w] of the other domain, each in the shape of its own domain.

    Raises NotApplicable, UsageError for an unknown domain or another shape.
    """
    model, start = require(opened.model, Translates, "translation"), source_of(opened, to)
    target = opened.spec.domain_called(to)
    check_images(images, opened.spec.domain(start))
    return opened.apply(lambda part, _: model.translate(part, target), images, batch=batch_size(*images.shape[2:]))


def cycle(opened: OpenedRun, images: Tensor, to: str) -> Cycle:
    """Return images, their translations to the domain `to`, and the translations of these back to the source domain."""
    translated = translate(opened, images, to)
    return images, translated, translate(opened, translated, source_of(opened, to))
