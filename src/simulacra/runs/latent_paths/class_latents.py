"""Mean latents of classes, for arithmetic between classes."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.condition import in_words
from simulacra.core.errors import NotApplicable, UsageError, unknown
from simulacra.data.dataset import Split
from simulacra.runs.latent_space import encode
from simulacra.runs.opened import OpenedRun

_IMAGES = 1000  # training images of a class, at most, over which latents are averaged


@dataclass(frozen=True)
class ClassLatent:
    """The mean latent of a class.

    mean: [d]; norm: of the mean; image_norm: mean norm of the latents of single images, which is larger; images: their number.
    """

    mean: Tensor
    image_norm: float
    images: int

    @property
    def norm(self) -> float:
        """Euclidean norm of the mean."""
        return float(self.mean.norm())


def class_latent(opened: OpenedRun, name: str) -> ClassLatent:
    """Return the mean latent of the first training images of a class, at most 1,000.

    Of a variational model the latents are the means of the posteriors. Raises NotApplicable for a model without an encoder, and
    for a conditional latent space, which is given the class and need not hold it; UsageError for an unknown or empty class.
    """
    model = require(opened.model, AMORTIZED_LATENT_SPACE, "arithmetic between classes")
    if model.accepts and model.conditional_likelihood:
        refused = f"arithmetic between classes is not applicable to this {type(model).__name__}"
        advice = "Use --label" if model.label_sizes else "Interpolate between images instead"
        raise NotApplicable(f"{refused}: its latents are those given {in_words(model.accepts)}. {advice}")
    split = opened.dataset.train
    found = encode(opened, split.batch(images_of_class(opened, split, name)[:_IMAGES]).images).double()
    return ClassLatent(found.mean(0).float(), float(found.norm(dim=1).mean()), len(found))


def images_of_class(opened: OpenedRun, split: Split, name: str, least: int = 1) -> np.ndarray:
    """Return the numbers of the images of a class in a split, int64 [n]; raises UsageError for an unknown class, or for fewer."""
    classes = opened.dataset.spec.classes
    if split.class_labels is None or name not in classes:
        raise unknown("class", name, classes)
    found = np.flatnonzero(split.class_labels == classes.index(name))
    if len(found) < least:
        raise UsageError(f"there are no {split.name} images of class {name}: choose another class")
    return found
