"""What an evaluation consists of: each measure says what it needs of a model, what it depends on, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from simulacra.core.capabilities import Encodes, Infers, Reconstructs, Samples, ScoresLikelihood, ScoresSteps, Translates
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
from simulacra.metrics.context import Subject
from simulacra.metrics.diversity import diversity
from simulacra.metrics.elbo import evidence
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
from simulacra.metrics.step_costs import DRAWS, flow_bits, step_costs
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
    needs: type
    settings: tuple[str, ...]
    cost: Callable[[Subject], str]
    take: Callable[[Subject], Findings]
    refused: Callable[[Subject], str] = lambda subject: ""
    extractors: Callable[[Subject], Sequence[Extractor]] = lambda subject: (subject.extractor,)


def measures(data: Dataset) -> tuple[Measure, ...]:
    """Return all measures of models of these data, the cheap ones first.

    Generated points are compared with their law where it is known, and all else with real images, in features.
    """
    return (
        Measure("reconstruction", Reconstructs, (), lambda s: f"{_tests(s)} reconstructions", _reconstruction),
        Measure("latents", Encodes, (), lambda s: f"{len(_learned(s)) + len(s.split):,} encodings", _latents),
        Measure("bounds", ScoresLikelihood, ("seed",), lambda s: f"{_tests(s)} encodings and decodings", _bounds),
        Measure("translation", Translates, (), lambda s: f"{_tests(s)} translations and back, each way", _translation),
        Measure("classes", Translates, _JUDGED, lambda s: f"{_tests(s)} translations", _classes, why_not_judged, judges),
        Measure("fidelity", Samples, _FIDELITY, _fidelity_cost, _fidelity)
        if law_of(data) is None
        else Measure("modes", Samples, ("samples", "seed"), lambda s: f"{s.settings.samples:,} generated points", _modes),
        Measure("agreement", Samples, _FIDELITY, _fidelity_cost, _agreement, _unconditional),
        Measure("cas", Samples, ("samples", "seed", "cas"), _cas_cost, _cas, _no_cas),
        Measure(
            "likelihood",
            ScoresLikelihood,
            ("seed", "particles"),
            lambda s: f"{_tests(s)} x {s.settings.particles} decodings",
            _nll,
        ),
        Measure("step costs", ScoresSteps, ("seed",), lambda s: f"{_tests(s)} x {DRAWS + 1} evaluations", _step_costs),
        Measure("flow likelihood", ScoresSteps, ("seed", "flow_images"), _flow_cost, _flow_bits, _no_flow_bits),
    )


_FIDELITY = ("samples", "seed", "extractor", "extractor_seed")
_JUDGED = ("extractor", "extractor_seed")


def _tests(subject: Subject) -> str:
    return f"{len(subject.split):,}"


# --- likelihood


def _bounds(subject: Subject) -> Findings:
    with subject.progress.work("negative ELBO", len(subject.split), "images") as meter:
        model = cast(ScoresLikelihood, subject.trained.model)
        return Findings(evidence(model, subject.split, subject.settings.seed, meter), {})


def _nll(subject: Subject) -> Findings:
    particles, seed = subject.settings.particles, subject.settings.seed
    with subject.progress.work(f"NLL with {particles} samples", len(subject.split), "images") as meter:
        model = cast(ScoresLikelihood, subject.trained.model)
        return Findings({"nll_nats": negative_log_likelihood(model, subject.split, particles, seed, meter)}, {})


def _step_costs(subject: Subject) -> Findings:
    with subject.progress.work("bound, step by step", len(subject.split), "images") as meter:
        model = cast(ScoresSteps, subject.trained.model)
        bits, parts = step_costs(model, subject.split, subject.settings.seed, meter)
    return Findings({"bits_per_dim": bits}, {}, {"step_costs": parts})


def _no_flow_bits(subject: Subject) -> str:
    return "" if subject.settings.flow_images else "add --flow-images and how many: each is followed to noise, slowly"


def _flow_cost(subject: Subject) -> str:
    return f"{_scored(subject):,} images, followed to noise"


def _scored(subject: Subject) -> int:
    return min(subject.settings.flow_images, len(subject.split))


def _flow_bits(subject: Subject) -> Findings:
    count = _scored(subject)
    with subject.progress.work("likelihood of the flow", count, "images") as meter:
        model = cast(ScoresSteps, subject.trained.model)
        return Findings({"flow_bits_per_dim": flow_bits(model, subject.split, count, subject.settings.seed, meter)}, {})


# --- reconstruction and latents


def _reconstruction(subject: Subject) -> Findings:
    with subject.progress.work("reconstruction", len(subject.split), "images") as meter:
        metrics = reconstruction(cast(Reconstructs, subject.trained.model), subject.split, meter)
    small = f"images are smaller than its window of {WINDOW}x{WINDOW} pixels"
    return Findings(metrics, {} if "ssim" in metrics else {"ssim": small})


def _learned(subject: Subject) -> Split:
    """Return the training images whose latents a classifier learns from: the first of a shuffled split."""
    return subject.trained.dataset.train[:_TRAIN_LATENTS]


def _latents(subject: Subject) -> Findings:
    model, split, classes = subject.trained.model, subject.split, len(subject.trained.spec.classes)
    metrics: Measured = {}
    missing = {}
    if isinstance(model, Infers):
        with subject.progress.work("active units", len(split), "images") as meter:
            metrics["active_units"] = active_units(cast(Encodes, model), split, meter)
    else:
        missing["active_units"] = "needs Infers"
    if classes < 2 or split.labels is None:
        return Findings(metrics, missing | dict.fromkeys(("knn_accuracy", "probe_accuracy"), "needs data with classes"))
    train, test = _encoded(subject, _learned(subject)), _encoded(subject, split)
    with subject.progress.work("nearest latents", len(split), "images") as meter:
        tries: Tries = {
            "knn_accuracy": lambda: knn_accuracy(train, test, classes, meter),
            "probe_accuracy": lambda: probe_accuracy(train, test, classes),
        }
        return _tried(tries, metrics, missing)


def _encoded(subject: Subject, split: Split) -> tuple[Tensor, Any]:
    model = cast(Encodes, subject.trained.model)
    with inference(subject.trained.model), subject.progress.work(f"encoding {split.name} images", len(split), "images") as meter:
        codes = []
        for batch in split.chunks(_CHUNK):
            codes.append(model.encode(batch.images).float())
            meter.advance(len(batch))
    return torch.cat(codes), split.labels


# --- points of a known law


def _modes(subject: Subject) -> Findings:
    law = law_of(subject.trained.dataset)
    if law is None:
        raise NotApplicable("needs data whose law is known")
    with subject.progress.work("generating", subject.settings.samples, "points") as meter:
        generated = []
        for images in subject.images():
            generated.append(points_of(images))
            meter.advance(len(images))
    real = subject.split.images.reshape(-1, 2)
    return _tried({"modes_covered": lambda: known_law(np.concatenate(generated), real, law)}, {}, {})


# --- translation


def _translation(subject: Subject) -> Findings:
    return Findings(*nearness_and_cycle(subject))


def _classes(subject: Subject) -> Findings:
    return Findings(*surviving_classes(subject))


# --- classes on request


def _unconditional(subject: Subject) -> str:
    return "" if subject.classes else "the model draws no class on request (see --conditional of 'simulacra train')"


def _no_cas(subject: Subject) -> str:
    return _unconditional(subject) or ("" if subject.settings.cas else "add --cas: it trains a classifier, which takes minutes")


def _cas_cost(subject: Subject) -> str:
    return f"training a {default_extractor(subject.trained.spec)} on {subject.settings.samples:,} generated images"


def _agreement(subject: Subject) -> Findings:
    """Measure whether the extractor sees the classes that were asked for, as many images of each."""
    seen = subject.extractor
    if seen.classes != subject.trained.spec.classes:
        return Findings({}, {"label_agreement": f"{seen.name} tells other classes than those of the data"})
    asked, predicted = [], []
    with subject.progress.work("generating by class", subject.settings.samples, "images") as meter:
        for images, labels in subject.labelled_images():
            asked.append(labels)
            predicted.append(seen.predictions(images))
            meter.advance(len(images))
    measured = label_agreement(torch.cat(asked), torch.cat(predicted), subject.classes)
    facts = {**seen.protocol, "generated": "rounded to 256 levels", "asked": "all classes equally", "seed": subject.settings.seed}
    facts |= subject.manner
    return Findings({"label_agreement": measured.under(facts)}, {})


def _cas(subject: Subject) -> Findings:
    made = list(subject.labelled_images())
    images, labels = (torch.cat([pair[side] for pair in made]) for side in (0, 1))
    kind, seed = default_extractor(subject.trained.spec), subject.settings.seed
    with torch.inference_mode(False):
        measured = classifier_accuracy(images, labels, subject.split, kind, overrides={"seed": seed}, progress=subject.progress)
    return Findings({"cas_accuracy": measured.under({"asked": "all classes equally", **subject.manner})}, {})


# --- fidelity, diversity, memorization


def _fidelity_cost(subject: Subject) -> str:
    return f"{subject.settings.samples:,} generated images, seen through {subject.extractor_name}"


def _fidelity(subject: Subject) -> Findings:
    """Measure generated against held-out images, and, as the floor, as many training images against these."""
    if subject.settings.samples == 0:
        raise NotApplicable("--samples 0 leaves it out")
    data, seed = subject.trained.dataset, subject.settings.seed
    protocol = {
        **subject.extractor.protocol,
        "reference": subject.settings.split,
        "generated": "rounded to 256 levels",
        "seed": seed,
        **subject.manner,
    }
    fakes, reals, known = subject.generated, subject.real(subject.split), subject.real(data.train)
    images = 4 * (len(fakes.features) + len(reals.features)) + 2 * min(len(fakes.features), len(known.features))
    pictures: dict[str, Any] = {}

    def memorized() -> Measurement:
        found = memorization(fakes.features, known.features, reals.features, seed, meter, block=BLOCK)
        pictures["suspects"] = {"seed": seed, **suspects(found)}
        return found.nearest_train_ratio

    with subject.progress.work("comparing features", 2 * REPLICATES + SUBSETS + images, "steps") as meter:
        tries = _of_features(fakes, reals, known, seed, meter)
        tries["nearest_train_ratio"] = memorized
        if fakes.predictions is not None and reals.predictions is not None:
            seen, real, classes = fakes.predictions, reals.predictions, subject.extractor.classes
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
