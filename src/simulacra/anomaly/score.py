"""What an anomaly score is: a number for each image, larger for images that are less like the normal ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simulacra.core.capabilities import Capability, Need, supports
from simulacra.core.errors import NotApplicable, SimulacraError
from simulacra.core.pointer import explained_by
from simulacra.core.progress import Meter, Progress
from simulacra.runs.opened import OpenedRun

_CHUNK = 250  # images scored in one call


@dataclass(frozen=True)
class Scored:
    """Scores of images: values float64 [n], and where a score has them heat maps float32 [n h w] of non-negative values."""

    values: Tensor
    maps: Tensor | None = None


Scorer = Callable[[Tensor], Scored]
"""From images float [n c h w] in [0, 1], on the CPU, to their scores, deterministically: the score of an image depends neither on
the other images nor on their order, up to the rounding of the device."""


@dataclass(frozen=True)
class Score:
    """One anomaly score.

    name: as users give it; summary: one line; needs: capabilities, all of which a model must have; fit: from an opened run to its
    scorer, using training images only; settings: everything fixed that the numbers depend on; maps: whether it has heat maps.
    """

    name: str
    summary: str
    fit: Callable[[OpenedRun, Progress], Scorer]
    needs: tuple[type[Capability] | Need[Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    maps: bool = False

    def applies_to(self, model: object) -> bool:
        """Return whether a model, or a class of models, has all that the score needs."""
        return all(supports(model, need) for need in self.needs)

    def require(self, model: object) -> None:
        """Raise NotApplicable where a model lacks a capability that the score needs."""
        for need in self.needs:
            if not supports(model, need):
                refused = f"score {self.name} is not applicable to {type(model).__name__}: it needs {need.phrase}"
                raise NotApplicable(explained_by(refused, "capabilities"))


def score_images(scorer: Scorer, images: Tensor, meter: Meter, what: str) -> Scored:
    """Return the scores of images [n c h w], computed in chunks; raises SimulacraError, naming `what`, if one is not finite."""
    parts = []
    for chunk in images.split(_CHUNK):
        parts.append(scorer(chunk))
        meter.advance(len(chunk))
    values = torch.cat([part.values for part in parts])
    if not values.isfinite().all():
        at = int((~values.isfinite()).nonzero()[0])
        raise SimulacraError(f"the score of image {at} of the {what} is {values[at]:g}: the model's outputs are not finite")
    maps = [part.maps for part in parts if part.maps is not None]
    return Scored(values, torch.cat(maps) if maps else None)


def of_squared_errors(squared: Tensor) -> Scored:
    """Return the scores of squared errors [n c h w]: their sum over an image; heat maps are their sum over channels."""
    maps = squared.float().sum(1)
    return Scored(maps.double().flatten(1).sum(1), maps)
