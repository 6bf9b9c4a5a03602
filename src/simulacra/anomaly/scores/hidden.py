"""Hidden pixels: minus the log-likelihood of the pixels that a model of degraded images has to restore, given the others.

The model derives the degradation from the image itself, so that it is the same in every call.
"""

from simulacra.anomaly.likelihoods import PARTICLES, SEED, negative_log_likelihoods
from simulacra.anomaly.score import Score
from simulacra.core.capabilities import HasLikelihood, Restores

SCORE = Score(
    "hidden",
    f"minus the log-likelihood of hidden pixels given the others in nats, by {PARTICLES} importance samples",
    negative_log_likelihoods,
    (Restores, HasLikelihood),
    {"importance_samples": PARTICLES, "seed": SEED},
)
