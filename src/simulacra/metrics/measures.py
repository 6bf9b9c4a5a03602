"""What an evaluation consists of: each measure says what it needs of a model, what it depends on, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import (
    AMORTIZED_LATENT_SPACE,
    Capability,
    HasDiffusionBound,
    HasLikelihood,
    HasPosterior,
    LatentSpace,
    Need,
    Reconstructs,
    Samples,
    Translates,
)
from simulacra.core.errors import DataError, NotApplicable, UsageError
from simulacra.core.eval_mode import inference
from simulacra.core.progress import Meter
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.known_densities import law_of, points_of
from simulacra.features.extractor import Embedding, Extractor
from simulacra.features.loading import default_extractor
from simulacra.metrics.active_units import active_units
from simulacra.metrics.class_histogram import class_kl, modes_covered
from simulacra.metrics.classification_accuracy_score import classifier_accuracy
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.diffusion_bound import DRAWS, diffusion_bound, flow_bits
from simulacra.metrics.diversity import diversity
from simulacra.metrics.elbo import elbo
from simulacra.metrics.frechet_distance import REPLICATES, frechet_distance, frechet_floor
from simulacra.metrics.image_positions import by_class, suspects
from simulacra.metrics.kernel_distance import SUBSETS, kernel_distance
from simulacra.metrics.knn_accuracy import knn_accuracy
from simulacra.metrics.known_density import known_law
from simulacra.metrics.label_agreement import label_agreement
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.memorization import memorization
from simulacra.metrics.nll import negative_log_likelihood
from simulacra.metrics.precision_recall import neighbourhoods, with_floors
from simulacra.metrics.probe_accuracy import probe_accuracy
from simulacra.metrics.reconstruction import reconstruction
from simulacra.metrics.ssim import WINDOW
from simulacra.metrics.statistics.distances import BLOCK
from simulacra.metrics.statistics.moments import blocked_moments
from simulacra.metrics.translation_quality import judges, nearness_and_cycle, surviving_classes, why_not_judged

Measured = dict[str, Measurement]
Tries = dict[str, Callable[[], Measurement | Measured]]
_TRAIN_LATENTS = 60_000  # training images, at most, whose latents a classifier learns from
_CHUNK = 500


@dataclass(frozen=True)
class Findings:
    """What a measure found: numbers, in words why others are missing, and which images pictures of it show (ready for JSON)."""

    metrics: Mapping[str, Measurement]
    missing: Mapping[str, str]
    pictures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """One piece of an evaluation.

    needs: a capability; settings: names of those it depends on; cost: what it takes, in words; refused: why it does not apply to
    a model that has the capability, in words, or nothing; extractors: those that see the images, where `extractor` is a setting.
    """

    name: str
    needs: type[Capability] | Need[Any]
    settings: tuple[str, ...]
    cost: Callable[[EvaluationContext], str]
    take: Callable[[EvaluationContext], Findings]
    refused: Callable[[EvaluationContext], str] = lambda context: ""
    extractors: Callable[[EvaluationContext], Sequence[Extractor]] = lambda context: (context.extractor,)


def measures(data: Dataset) -> tuple[Measure, ...]:
    """Return all measures of models of these data, the cheap ones first.

    Generated points are compared with their law where it is known, and all else with real images, in features.
    """
    return (
        Measure("reconstruction", Reconstructs, (), lambda s: f"{_tests(s)} reconstructions", _reconstruction),
        Measure("latents", AMORTIZED_LATENT_SPACE, (), lambda s: f"{len(_learned(s)) + len(s.split):,} encodings", _latents),
        Measure("bounds", HasLikelihood, ("seed",), lambda s: f"{_tests(s)} encodings and decodings", _bounds),
        Measure("translation", Translates, (), lambda s: f"{_tests(s)} translations and back, each way", _translation),
        Measure("classes", Translates, _JUDGED, lambda s: f"{_tests(s)} translations", _classes, why_not_judged, judges),
        Measure("fidelity", Samples, _FIDELITY, _fidelity_cost, _fidelity)
        if law_of(data) is None
        else Measure("modes", Samples, ("samples", "seed"), lambda s: f"{s.settings.samples:,} generated points", _modes),
        Measure("agreement", Samples, _FIDELITY, _fidelity_cost, _agreement, _unconditional),
        Measure("cas", Samples, ("samples", "seed", "cas"), _cas_cost, _cas, _no_cas),
        Measure(
            "likelihood",
            HasLikelihood,
            ("seed", "particles"),
            lambda s: f"{_tests(s)} x {s.settings.particles} decodings",
            _nll,
        ),
        Measure("step costs", HasDiffusionBound, ("seed",), lambda s: f"{_tests(s)} x {DRAWS + 1} evaluations", _step_costs),
        Measure("flow likelihood", HasDiffusionBound, ("seed", "flow_images"), _flow_cost, _flow_bits, _no_flow_bits),
    )


_FIDELITY = ("samples", "seed", "extractor", "extractor_seed")
_JUDGED = ("extractor", "extractor_seed")


def _tests(context: EvaluationContext) -> str:
    return f"{len(context.split):,}"


# --- likelihood


def _bounds(context: EvaluationContext) -> Findings:
    with context.progress.task("negative ELBO", len(context.split), "images") as meter:
        model = cast(HasLikelihood, context.trained.model)
        return Findings(elbo(model, context.split, context.settings.seed, meter), {})


def _nll(context: EvaluationContext) -> Findings:
    particles, seed = context.settings.particles, context.settings.seed
    with context.progress.task(f"NLL with {particles} samples", len(context.split), "images") as meter:
        model = cast(HasLikelihood, context.trained.model)
        return Findings({"nll_nats": negative_log_likelihood(model, context.split, particles, seed, meter)}, {})


def _step_costs(context: EvaluationContext) -> Findings:
    with context.progress.task("bound, step by step", len(context.split), "images") as meter:
        model = cast(HasDiffusionBound, context.trained.model)
        bits, parts = diffusion_bound(model, context.split, context.settings.seed, meter)
    return Findings({"bits_per_dim": bits}, {}, {"diffusion_bound": parts})


def _no_flow_bits(context: EvaluationContext) -> str:
    return "" if context.settings.flow_images else "add --flow-images and how many: each is followed to noise, slowly"


def _flow_cost(context: EvaluationContext) -> str:
    return f"{_scored(context):,} images, followed to noise"


def _scored(context: EvaluationContext) -> int:
    return min(context.settings.flow_images, len(context.split))


def _flow_bits(context: EvaluationContext) -> Findings:
    count = _scored(context)
    with context.progress.task("likelihood of the flow", count, "images") as meter:
        model = cast(HasDiffusionBound, context.trained.model)
        return Findings({"flow_bits_per_dim": flow_bits(model, context.split, count, context.settings.seed, meter)}, {})


# --- reconstruction and latents


def _reconstruction(context: EvaluationContext) -> Findings:
    with context.progress.task("reconstruction", len(context.split), "images") as meter:
        metrics = reconstruction(cast(Reconstructs, context.trained.model), context.split, meter)
    small = f"images are smaller than its window of {WINDOW}x{WINDOW} pixels"
    return Findings(metrics, {} if "ssim" in metrics else {"ssim": small})


def _learned(context: EvaluationContext) -> Split:
    """Return the training images whose latents a classifier learns from: the first of a shuffled split."""
    return context.trained.dataset.train[:_TRAIN_LATENTS]


def _latents(context: EvaluationContext) -> Findings:
    model, split, classes = context.trained.model, context.split, len(context.trained.spec.classes)
    metrics: Measured = {}
    missing = {}
    if isinstance(model, HasPosterior):
        with context.progress.task("active units", len(split), "images") as meter:
            metrics["active_units"] = active_units(cast(LatentSpace, model), split, meter)
    else:
        missing["active_units"] = "needs HasPosterior"
    if classes < 2 or split.labels is None:
        return Findings(metrics, missing | dict.fromkeys(("knn_accuracy", "probe_accuracy"), "needs data with classes"))
    train, test = _encoded(context, _learned(context)), _encoded(context, split)
    with context.progress.task("nearest latents", len(split), "images") as meter:
        tries: Tries = {
            "knn_accuracy": lambda: knn_accuracy(train, test, classes, meter),
            "probe_accuracy": lambda: probe_accuracy(train, test, classes),
        }
        return _tried(tries, metrics, missing)


def _encoded(context: EvaluationContext, split: Split) -> tuple[Tensor, Any]:
    model = cast(LatentSpace, context.trained.model)
    with inference(context.trained.model), context.progress.task(f"encoding {split.name} images", len(split), "images") as meter:
        codes = []
        for batch in split.chunks(_CHUNK):
            codes.append(model.encode(batch.images).float())
            meter.advance(len(batch))
    return torch.cat(codes), split.labels


# --- points of a known law


def _modes(context: EvaluationContext) -> Findings:
    law = law_of(context.trained.dataset)
    if law is None:
        raise NotApplicable("needs data whose law is known")
    with context.progress.task("generating", context.settings.samples, "points") as meter:
        generated = []
        for images in context.images():
            generated.append(points_of(images))
            meter.advance(len(images))
    real = context.split.images.reshape(-1, 2)
    return _tried({"modes_covered": lambda: known_law(np.concatenate(generated), real, law)}, {}, {})


# --- translation


def _translation(context: EvaluationContext) -> Findings:
    return Findings(*nearness_and_cycle(context))


def _classes(context: EvaluationContext) -> Findings:
    return Findings(*surviving_classes(context))


# --- classes on request


def _unconditional(context: EvaluationContext) -> str:
    return "" if context.classes else "the model draws no class on request (see --conditional of 'simulacra train')"


def _no_cas(context: EvaluationContext) -> str:
    return _unconditional(context) or ("" if context.settings.cas else "add --cas: it trains a classifier, which takes minutes")


def _cas_cost(context: EvaluationContext) -> str:
    return f"training a {default_extractor(context.trained.spec)} on {context.settings.samples:,} generated images"


def _agreement(context: EvaluationContext) -> Findings:
    """Measure whether the extractor sees the classes that were asked for, as many images of each."""
    seen = context.extractor
    if seen.classes != context.trained.spec.classes:
        return Findings({}, {"label_agreement": f"{seen.name} tells other classes than those of the data"})
    asked, predicted = [], []
    with context.progress.task("generating by class", context.settings.samples, "images") as meter:
        for images, labels in context.labelled_images():
            asked.append(labels)
            predicted.append(seen.predictions(images))
            meter.advance(len(images))
    measured = label_agreement(torch.cat(asked), torch.cat(predicted), context.classes)
    facts = {**seen.protocol, "generated": "rounded to 256 levels", "asked": "all classes equally", "seed": context.settings.seed}
    facts |= context.sampling_protocol
    return Findings({"label_agreement": measured.under(facts)}, {})


def _cas(context: EvaluationContext) -> Findings:
    made = list(context.labelled_images())
    images, labels = (torch.cat([pair[side] for pair in made]) for side in (0, 1))
    kind, seed = default_extractor(context.trained.spec), context.settings.seed
    with torch.inference_mode(False):
        measured = classifier_accuracy(images, labels, context.split, kind, overrides={"seed": seed}, progress=context.progress)
    return Findings({"cas_accuracy": measured.under({"asked": "all classes equally", **context.sampling_protocol})}, {})


# --- fidelity, diversity, memorization


def _fidelity_cost(context: EvaluationContext) -> str:
    return f"{context.settings.samples:,} generated images, seen through {context.extractor_name}"


def _fidelity(context: EvaluationContext) -> Findings:
    """Measure generated against held-out images, and, as the floor, as many training images against these."""
    if context.settings.samples == 0:
        raise NotApplicable("--samples 0 leaves it out")
    data, seed = context.trained.dataset, context.settings.seed
    protocol = {
        **context.extractor.protocol,
        "reference": context.settings.split,
        "generated": "rounded to 256 levels",
        "seed": seed,
        **context.sampling_protocol,
    }
    fakes, reals, known = context.generated, context.real(context.split), context.real(data.train)
    images = 4 * (len(fakes.features) + len(reals.features)) + 2 * min(len(fakes.features), len(known.features))
    pictures: dict[str, Any] = {}

    def memorized() -> Measurement:
        found = memorization(fakes.features, known.features, reals.features, seed, meter, block=BLOCK)
        pictures["suspects"] = {"seed": seed, **suspects(found)}
        return found.nearest_train_ratio

    with context.progress.task("comparing features", 2 * REPLICATES + SUBSETS + images, "steps") as meter:
        tries = _of_features(fakes, reals, known, seed, meter)
        tries["nearest_train_ratio"] = memorized
        if fakes.predictions is not None and reals.predictions is not None:
            seen, real, classes = fakes.predictions, reals.predictions, context.extractor.classes
            tries["modes_covered"] = lambda: modes_covered(seen, real, len(classes))
            tries["class_kl"] = lambda: class_kl(seen, real, len(classes))
            pictures["classes"] = {"seed": seed, **by_class(seen, real, classes)}
        found = _tried(tries, {}, {} if fakes.predictions is not None else {"class_kl": "the extractor tells no classes"})
    metrics = dict(found.metrics)
    if "frechet_floor" in metrics and "frechet_distance" in metrics:
        metrics["frechet_ratio"] = _ratio(metrics["frechet_distance"], metrics["frechet_floor"])
    return Findings({name: item.under(protocol) for name, item in metrics.items()}, found.missing, pictures)


def _of_features(fakes: Embedding, reals: Embedding, known: Embedding, seed: int, meter: Meter) -> Tries:
    """Return what can be measured of the features of generated, held-out and training images."""
    count = len(fakes.features)
    reference = blocked_moments(reals.features)
    return {
        "frechet_distance": lambda: frechet_distance(blocked_moments(fakes.features), reference, meter),
        "frechet_floor": lambda: frechet_floor(known.features, reference, min(count, len(known.features)), seed, meter),
        "kernel_distance": lambda: kernel_distance(fakes.features, reals.features, seed, meter),
        "precision": lambda: with_floors(
            neighbourhoods(fakes.features, reals.features, meter),
            neighbourhoods(known.features[:count], reals.features, meter),
        ),
        "diversity": lambda: diversity(fakes.features, reals.features, meter),
    }


def _ratio(distance: Measurement, floor: Measurement) -> Measurement:
    """Return a Fréchet distance over its floor, with the error of the distance alone."""
    error = None if distance.standard_error is None else distance.standard_error / floor.value
    facts = {name: distance.protocol[name] for name in ("dimensions", "reference_n")}
    return Measurement(distance.value / floor.value, error, distance.n, {**facts, "error": "of the distance, floor given"})


def _tried(tries: Tries, metrics: Measured, missing: Mapping[str, str]) -> Findings:
    """Take each number that can be taken; say why of the others."""
    found, absent = dict(metrics), dict(missing)
    for name, take in tries.items():
        try:
            result = take()
        except (UsageError, DataError) as error:
            absent[name] = str(error)
            continue
        found |= {name: replace(result)} if isinstance(result, Measurement) else result
    return Findings(found, absent)
