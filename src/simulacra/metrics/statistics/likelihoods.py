"""Bounds and estimates of the negative log-likelihood of the images of a split, in nats per image."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import AcceptsCondition, Condition, in_words
from simulacra.core.config import Config, option
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.metric import Quantity
from simulacra.metrics.statistics.model_inputs import given_fields, in_observations
from simulacra.runs.image_to_image.restoration import Degrader

_NATS = "nats per image"
_RATE = "KL divergence of the posterior from the prior."
_DISTORTION = "Negative expected log-likelihood of an image given its latents: the reconstruction term of the ELBO."
_NLL = "Importance-sampling estimate of the negative log-likelihood; a tighter upper bound than the negative ELBO."

RATE = Quantity("rate_nats", f"rate, {_NATS}", "neither", _RATE)
DISTORTION = Quantity("distortion_nats", f"distortion, {_NATS}", "neither", _DISTORTION)
KINDS = ("exact", "lower bound", "estimate")
"""What a log-likelihood of `HasLikelihood` can be; tensors that processes share hold its position here."""
NLL = Quantity("nll_nats", f"negative log-likelihood, {_NATS}", "smaller", _NLL)


@dataclass(frozen=True)
class LikelihoodOptions(Config):
    """Options of the metrics that estimate a likelihood by importance sampling."""

    particles: int = option(50, "models with a likelihood: number of importance samples per image for the NLL", low=1)


def is_conditional(model: AcceptsCondition) -> bool:
    """Return whether the likelihood of a model is that of images given a condition."""
    return model.conditional_likelihood and bool(model.accepts)


def unconditional_likelihood(model: AcceptsCondition) -> str:
    """Return why metrics of p(image) do not apply to a model, in words; empty where they do."""
    if not is_conditional(model):
        return ""
    return f"its likelihood is that of images given their {in_words(model.accepts)}: see conditional_likelihood"


@dataclass(frozen=True)
class SplitBound:
    """The negative ELBO of every image of a split: rate and distortion [n], with one latent sample each.

    protocol: target, samples and seed, and `floor_nats` where the distortion has a least value above 0.
    """

    rate: Tensor
    distortion: Tensor
    protocol: dict[str, Any]


def split_bound(model: HasLikelihood, split: Split, seed: int, meter: Meter, degrader: Degrader | None = None) -> SplitBound:
    """Return the bound of the images of a split, given their condition where the model has one."""

    def terms_of(number: int, observed: Tensor, condition: Condition) -> dict[str, Tensor]:
        with stream(seed, "evidence", number):
            terms = model.elbo(observed, condition)
        floor = model.floor(observed, condition)
        floors = {} if floor is None else {"floor": floor.double().cpu()}
        return {"rate": terms.rate.cpu(), "distortion": terms.distortion.cpu(), **floors}

    found = in_observations(model, split, seed, terms_of, meter, degrader)
    given = given_fields(model, split, degrader)
    protocol: dict[str, Any] = {"target": model.target, "latent_samples": 1, "seed": seed}
    protocol |= {"given": ", ".join(in_words([name]) for name in given)} if given else {}
    protocol |= {} if degrader is None else {"degradation": degrader.name}
    protocol |= {"floor_nats": found["floor"].mean().item()} if "floor" in found else {}
    return SplitBound(found["rate"], found["distortion"], protocol)


def split_nll(  # noqa: PLR0917
    model: HasLikelihood, split: Split, particles: int, seed: int, meter: Meter, degrader: Degrader | None = None
) -> tuple[Tensor, dict[str, Any]]:
    """Return minus the log-likelihood [n] of every image of a split, given its condition, and the protocol.

    With importance samples it is an upper bound in expectation that becomes tighter with their number (Burda et al. 2015,
    theorem 1).
    """

    def nats_of(number: int, observed: Tensor, condition: Condition) -> dict[str, Tensor]:
        with stream(seed, "nll", number):
            result = model.log_likelihood(observed, particles, condition)
        return {"nats": -result.nats.cpu(), "kind": torch.tensor(KINDS.index(result.kind))}

    found = in_observations(model, split, seed, nats_of, meter, degrader)
    kind = bound_of_nll(KINDS[int(found["kind"][-1])])
    given = given_fields(model, split, degrader)
    protocol = {"target": model.target, "importance_samples": particles, "kind": kind, "seed": seed}
    protocol |= {"given": ", ".join(in_words([name]) for name in given)} if given else {}
    return found["nats"], protocol | ({} if degrader is None else {"degradation": degrader.name})


def bound_of_nll(kind: str) -> str:
    """Return what minus log p is where log p is of this kind: a lower bound of log p is an upper bound of -log p.

    >>> bound_of_nll("lower bound"), bound_of_nll("exact")
    ('upper bound', 'exact')
    """
    return {"lower bound": "upper bound"}.get(kind, kind)
