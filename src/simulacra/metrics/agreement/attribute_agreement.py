"""Agreement of generated images with several requested attributes, for combinations seen and not seen in training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.randomness import permutation
from simulacra.data.dataset import Split
from simulacra.metrics.agreement.attribute_classifiers import attribute_classifiers, attributes_of
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Measured, MetricResults, Quantity
from simulacra.metrics.statistics.measurement import Measurement, flagged, fraction_of, require

_ENOUGH = 1000
_CHUNK = 500  # real images per call of the classifiers


def _quantity(kind: str, title: str, of: str) -> Quantity:
    meaning = f"Share of generated images that are assigned to {of}."
    return Quantity(f"label_agreement{kind}", f"label agreement{title}", "neither" if kind == "_shuffled" else "larger", meaning)


QUANTITIES = (
    _quantity("", "", "the requested class, or to all requested attributes"),
    _quantity("_seen", ", seen combinations", "all attributes of a requested combination that occurs in training"),
    _quantity("_unseen", ", unseen combinations", "all attributes of a requested combination that does not occur in training"),
    _quantity("_shuffled", ", shuffled requests", "the attributes requested of another image: chance"),
)


def attribute_agreement(
    requested: Tensor, predicted: Tensor, names: Sequence[str], unseen: Tensor | None = None, seed: int = 0
) -> Measured:
    """Return label_agreement: the share of images for which classifiers predict all requested attributes.

    requested, predicted: int64 [n k], for k attributes with these names; unseen: bool [n], images of combinations that do not
    occur in training. label_agreement_seen and label_agreement_unseen are the shares of both kinds of combinations, absent where
    there are none of the second. label_agreement_shuffled is the share after a random permutation of the requests: chance.
    `by_attribute`, in every protocol, is the share for each attribute alone. Errors of the classifiers count as errors of the
    model. Intervals cover the images. Raises UsageError without images, or where shapes differ.
    """
    if requested.shape != predicted.shape or requested.ndim != 2 or requested.shape[1] != len(names):
        got = f"requested {list(requested.shape)} and predicted {list(predicted.shape)} attributes"
        raise UsageError(f"there are {got}, expected [n {len(names)}] of both")
    require("label_agreement", "generated images", len(requested), 1, "generate some")
    hits = requested == predicted
    shuffled = requested[torch.from_numpy(permutation(len(requested), seed, "shuffled requests"))] == predicted
    shares = {"label_agreement": hits, "label_agreement_shuffled": shuffled}
    if unseen is not None and unseen.any():
        shares["label_agreement_unseen"] = hits[unseen]
        if not unseen.all():
            shares["label_agreement_seen"] = hits[~unseen]
    return {name: _share(chosen, names) for name, chosen in shares.items()}


def _share(hits: Tensor, names: Sequence[str]) -> Measurement:
    by_attribute = {name: column.double().mean().item() for name, column in zip(names, hits.T, strict=True)}
    return fraction_of(hits.all(1), {"by_attribute": by_attribute, **flagged(len(hits), _ENOUGH, "a wide interval")})


def unseen_combinations(labels: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows of labels int64 [n k] do not occur among those of the training images int64 [m k]: bool [n]."""
    known = {tuple(row) for row in np.unique(training.reshape(len(training), -1), axis=0).tolist()}
    return np.array([tuple(row) not in known for row in labels.reshape(len(labels), -1).tolist()], bool)


def measure_attributes(context: EvaluationContext) -> MetricResults:
    """Measure with the conditions of the held-out images, repeated in order if fewer than images are generated."""
    split, attributes = context.split, attributes_of(context.opened.spec)
    if split.labels is None or not attributes:
        return MetricResults({}, {"label_agreement": "the held-out images have captions, but no labels to classify"})
    rows = np.flatnonzero(_has_condition(context, split))
    if not len(rows):
        return MetricResults({}, {"label_agreement": "no held-out image has a caption of known words"})
    rows = rows[np.arange(context.settings.samples) % len(rows)]
    classifiers, names = attribute_classifiers(context), [attribute.name for attribute in attributes]

    def classified(images: Tensor, numbers: range) -> dict[str, Tensor]:
        return {"classes": torch.stack([classifier.predictions(images) for classifier in classifiers], 1)}

    found = []
    with context.progress.task("generating held-out conditions", len(rows), "images") as meter:
        for numbers, part in context.in_requested_images(rows, classified):
            found.append(part["classes"])
            meter.advance(len(numbers))
    labels, training = split.labels[rows].reshape(len(rows), -1), context.opened.dataset.train.labels
    assert training is not None
    unseen = torch.from_numpy(unseen_combinations(labels, training))
    measured = attribute_agreement(torch.from_numpy(labels), torch.cat(found), names, unseen, context.settings.seed)
    real = torch.stack([_accuracy(classifier.predictions, split, at) for at, classifier in enumerate(classifiers)], 1)
    facts = {
        "classifiers": {name: classifier.label for name, classifier in zip(names, classifiers, strict=True)},
        "classifier_input": classifiers[0].network.rule(),
        "real_against_real": _share(real, names).protocol["by_attribute"] | {"all": real.all(1).double().mean().item()},
        "generated": "rounded to 256 levels",
        "requested": f"the {'captions' if 'tokens' in context.model.accepts else 'labels'} of the {split.name} images",
        "seed": context.settings.seed,
    }
    return MetricResults(measured).under(facts | context.sampling_protocol)


def _has_condition(context: EvaluationContext, split: Split) -> NDArray[np.bool_]:
    """Return which images have the condition that the model takes: all have labels, not all have a caption of known words."""
    if "tokens" not in context.model.accepts:
        return np.ones(len(split), bool)
    return np.zeros(len(split), bool) if split.tokens is None else np.any(split.tokens, axis=1)


def _accuracy(classify: Callable[[Tensor], Tensor], split: Split, at: int) -> Tensor:
    """Return for each image of a split whether its attribute number `at` is predicted correctly: bool [n]."""
    hits = []
    for batch in split.chunks(_CHUNK):
        labels = batch.condition.labels
        assert labels is not None
        hits.append(classify(batch.images) == labels.view(len(labels), -1)[:, at])
    return torch.cat(hits)
