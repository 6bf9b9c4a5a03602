"""Features: local outlier ratio of the latent of an image among those of training images.

Distances in latent space ignore what the decoder cannot represent; the ratio, unlike a distance, does not depend on how spread
out the normal images of a region are.
"""

from simulacra.anomaly.neighbours import NEIGHBOURS, LocalOutliers
from simulacra.anomaly.score import Score, Scored, Scorer
from simulacra.anomaly.training_images import REFERENCES, encodings, training_encodings
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE
from simulacra.core.progress import Progress
from simulacra.runs.opened import OpenedRun


def _fit(opened: OpenedRun, progress: Progress) -> Scorer:
    outliers = LocalOutliers(training_encodings(opened, progress), NEIGHBOURS)
    return lambda images: Scored(outliers.ratios(encodings(opened, images)))


SCORE = Score(
    "features",
    f"local outlier ratio of the latent among its {NEIGHBOURS} nearest training latents",
    _fit,
    (AMORTIZED_LATENT_SPACE,),
    {"neighbours": NEIGHBOURS, "references": REFERENCES},
)
