"""Discriminator: local outlier ratio of the discriminator's features of an image among those of training images."""

from torch import Tensor

from simulacra.anomaly.neighbours import NEIGHBOURS, LocalOutliers
from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import REFERENCES, first_images
from simulacra.core.capabilities import HasDiscriminator, require
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    model = require(opened.model, HasDiscriminator, "the score discriminator")

    def features(images: Tensor) -> Tensor:
        return opened.apply(model.discriminator_features, images)

    progress.message("comparing the discriminator's features of training images")
    outliers = LocalOutliers(features(first_images(opened)), NEIGHBOURS)
    return lambda images: Scored(outliers.ratios(features(images)))


SCORE = Score(
    "discriminator",
    f"local outlier ratio among {NEIGHBOURS} training images in the features of the discriminator",
    _fit,
    (HasDiscriminator,),
    {"neighbours": NEIGHBOURS, "references": REFERENCES},
)
