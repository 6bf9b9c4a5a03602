"""The likelihood of images under a label-conditional model: p(x) = sum_y p(y) p(x|y), with uniform p(y) over all labels."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from simulacra.core.capabilities import HasLikelihood
from simulacra.core.condition import Condition
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.metrics.statistics.likelihoods import KINDS, bound_of_nll
from simulacra.metrics.statistics.model_inputs import in_observations
from simulacra.networks.labels import every_label

FEW = 4  # importance samples for each label in the first pass
MARGIN = 15.0  # nats below the most probable label, beyond which a label is left out of the second pass


@dataclass(frozen=True)
class LabelLikelihoods:
    """Minus log p(x) of every image, nats [n]; argmax_y p(y) p(x|y) and the true labels, int64 [n] or [n k]; the protocol."""

    nats: Tensor
    predicted: Tensor
    labels: Tensor
    protocol: dict[str, Any]


def label_likelihoods(
    model: HasLikelihood, split: Split, particles: int, seed: int, meter: Meter, *, margin: float = MARGIN
) -> LabelLikelihoods:
    """Return -log sum_y p(y) p(x|y) of the images of a split, with `particles` importance samples for each label.

    A first pass with few samples for every label leaves out, for each image, the labels that are more than `margin` nats below
    the best. All terms of the sum are positive, so that a term that is left out can only raise the result: by at most
    log(1 + c exp(-margin)) nats for c labels where the first pass is exact.
    """
    choices = every_label(model.label_sizes)

    def scored(number: int, observed: Tensor, condition: Condition) -> dict[str, Tensor]:
        scorer, kind = _Scorer(model, observed, condition, (seed, number)), KINDS[0]
        included = (
            scorer.first_pass(choices, margin) if particles > FEW else torch.ones(len(observed), len(choices), dtype=torch.bool)
        )
        joint = torch.full((len(observed), len(choices)), -math.inf)
        for column, label in enumerate(choices):
            rows = included[:, column].nonzero()[:, 0]
            if len(rows):
                joint[rows, column], kind = scorer.score(label, rows, particles, "all")
        assert condition.labels is not None
        return {
            "nats": math.log(len(choices)) - torch.logsumexp(joint, 1),
            "predicted": choices[joint.argmax(1)],
            "truth": condition.labels.cpu(),
            "kept": included.sum(),
            "kind": torch.tensor(KINDS.index(kind)),
        }

    found = in_observations(model, split, seed, scored, meter)
    kept, kind = int(found["kept"].sum()), KINDS[int(found["kind"][-1])]
    protocol = {"target": model.target, "importance_samples": particles, "kind": bound_of_nll(kind), "seed": seed}
    protocol |= {"labels": f"sum over {len(choices)} labels, p(y) uniform", "labels_kept": kept / len(split)}
    if particles > FEW:
        protocol["screening"] = (
            f"labels {margin:g} nats below the best with {FEW} samples are left out, which can only raise the nll"
        )
    return LabelLikelihoods(found["nats"], found["predicted"], found["truth"], protocol)


@dataclass(frozen=True)
class _Scorer:
    """Log-likelihoods of the observations [b c h w] of one chunk; key: seed and number of the chunk, of the random stream."""

    model: HasLikelihood
    observed: Tensor
    condition: Condition
    key: tuple[int, int]

    def score(self, label: Tensor, rows: Tensor, particles: int, stage: str) -> tuple[Tensor, str]:
        """Return log p(x|y) [n] of some rows on the CPU for one label, and what kind of estimate it is."""
        place = rows.to(self.observed.device)
        labels = label.to(place.device).expand(len(rows), *label.shape)
        seed, number = self.key
        with stream(seed, "label nll", number, stage, *label.flatten().tolist()):
            found = self.model.log_likelihood(self.observed[place], particles, replace(self.condition[place], labels=labels))
        return found.nats.float().cpu(), found.kind

    def first_pass(self, choices: Tensor, margin: float) -> Tensor:
        """Return which labels are within the margin of the best with few samples: bool [b c]."""
        rows = torch.arange(len(self.observed))
        scores = torch.stack([self.score(label, rows, FEW, "few")[0] for label in choices], 1)
        return scores >= scores.max(1, keepdim=True).values - margin
