"""Likelihood: minus the log-likelihood of an image, by importance samples (An & Cho 2015; Burda et al. 2015, eq. 8)."""

from simulacra.anomaly.likelihoods import PARTICLES, SEED, negative_log_likelihoods
from simulacra.anomaly.score import Score
from simulacra.core.capabilities import HasLikelihood

SCORE = Score(
    "likelihood",
    f"minus the log-likelihood in nats, by {PARTICLES} importance samples",
    negative_log_likelihoods,
    (HasLikelihood,),
    {"importance_samples": PARTICLES, "seed": SEED},
)
