"""Monitors of a training: rules that find problems in its reports.

A warning is a function of the records in `reports.jsonl`: it is found again after a resume, by `watch` and by the run report, and
in runs that were trained before its rule existed. docs/guides/monitoring.md explains the thresholds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise, zip_longest
from typing import Any

from simulacra.core.config import options
from simulacra.core.pointer import explained_by
from simulacra.runs.run import Run

Record = Mapping[str, Any]
Predicate = Callable[[Record], bool]

_CONSECUTIVE = 2  # records in a row that must agree
_MIN_STEPS = 200  # steps before which no problem can be distinguished from the beginning of a training
_EMA_STEPS = 1000  # steps after which the EMA represents a trained model; it lags behind by about as many
_DIVERSE, _FALL = 0.3, 0.5  # mode collapse: diversity was at least the first, and is below this fraction of its maximum
_STUCK, _GROWS = 0.25, 1.05  # mode collapse: diversity is below the first, and grows by less than this factor between validations
_REPEATED = 0.2  # repeated images: distinctness over diversity is below this
_REACHED = 0.5  # missing modes: fraction of the modes of a known density
_ACCURATE, _ALWAYS, _SATURATED = 0.99, 0.999, 0.9  # discriminator: accuracies with and without saturation; saturation
_LONG = 0.2  # discriminator: fraction of the training that this lasts
_ACTIVE = 0.25  # posterior collapse: fraction of active latent units
_LATE = 0.5  # fraction of the training after which missing modes and inactive units are problems
_WORSE, _GAP, _RISE = 3.0, 0.25, 0.1  # overfitting: validation loss over training loss; as fractions of the loss that was learned
_MOMENTUM = 0.5  # beta1 above which adversarial games oscillate (Radford et al. 2015, section 4)


@dataclass(frozen=True)
class TrainingWarning:
    """A problem of a training. since: the step at which it began; message: the problem, its steps and remedies."""

    name: str
    since: int
    message: str


@dataclass(frozen=True)
class TrainingHistory:
    """The reports of a training, the fraction of it that is done, the number of values in an image, and its settings by name."""

    records: Sequence[Record]
    done: float
    dimensions: int
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run, done: float) -> "TrainingHistory":
        """Return the history of a run."""
        parts = (run.config.model, run.config.train)
        values = {setting.name: getattr(part, setting.name) for part in parts for setting in options(type(part))}
        return cls(run.reports.read(), done, run.spec.dimensions, values)

    def of_kind(self, kind: str) -> list[Record]:
        """Return the records of a kind: `train` or `validation`."""
        return [record for record in self.records if record["kind"] == kind]

    @property
    def validations(self) -> list[Record]:
        """The records of the trained model on validation images."""
        return [record for record in self.of_kind("validation") if record["step"] > 0]

    @property
    def players(self) -> int:
        """The number of players."""
        return len(_names(self.records, "/loss"))

    @property
    def untrained_loss(self) -> float | None:
        """The validation loss of the untrained model; None of several players, or where it was not measured."""
        untrained = [record for record in self.of_kind("validation") if record["step"] == 0]
        return float(untrained[0][_names(untrained, "/loss")[0]]) if untrained and self.players == 1 else None

    def done_at(self, record: Record) -> float:
        """Return the fraction of the training that was done at a record."""
        last = max(record["step"] for record in self.records)
        return self.done * float(record["step"]) / last if last else 0.0

    def is_late(self, record: Record) -> bool:
        """Return whether a record is in the second half of the training."""
        return self.done_at(record) >= _LATE

    def is_long(self, records: Sequence[Record]) -> bool:
        """Return whether records span a fifth of the training."""
        return len(records) >= _CONSECUTIVE and self.done_at(records[-1]) - self.done_at(records[0]) >= _LONG


def training_warnings(history: TrainingHistory) -> tuple[TrainingWarning, ...]:
    """Return the problems of a training, each kind once, for the last time that it occurred."""
    generation = (_mode_collapse, _repeated_images, _missing_modes, _overwhelming_discriminator)
    rules = (*generation, _posterior_collapse, _divergence, _overfitting)
    return tuple(warning for rule in rules if (warning := rule(history)))


def _mode_collapse(history: TrainingHistory) -> TrainingWarning | None:
    """Find a generator that has lost its diversity, or that never gained any."""
    validations = [record for record in history.validations if "diversity" in record]
    best = accumulate((record["diversity"] for record in validations), max)
    pairs = zip(validations, best, strict=True)
    fallen = [record["step"] for record, most in pairs if most > _DIVERSE and record["diversity"] < _FALL * most]

    def is_stuck(records: Sequence[Record]) -> bool:
        pairs = [pair for pair in pairwise(records) if history.is_late(pair[1]) and pair[1]["step"] >= _EMA_STEPS]
        return any(later["diversity"] < _GROWS * earlier["diversity"] for earlier, later in pairs)

    def describe(records: Sequence[Record]) -> str:
        lowest = _lowest(records, "diversity")
        return f"generated images differ from each other by {lowest} of what real ones do. Try {_against_collapse(history)}"

    has_fallen = _warning("mode collapse", validations, lambda record: record["step"] in fallen, describe)
    return has_fallen or _warning("mode collapse", validations, lambda record: record["diversity"] < _STUCK, describe, is_stuck)


def _repeated_images(history: TrainingHistory) -> TrainingWarning | None:
    """Find a generator that repeats a few images: each has a near duplicate, though the images are diverse."""

    def is_repeated(record: Record) -> bool:
        return record.get("diversity", 0.0) >= _STUCK and record.get("distinctness", 1.0) < _REPEATED * record["diversity"]

    def describe(records: Sequence[Record]) -> str:
        share = f"{_lowest(records, 'distinctness')} as far from the nearest other one as real ones"
        return f"generated images are {share}. Try {_against_collapse(history)}"

    return _warning("repeated images", history.validations, is_repeated, describe)


def _missing_modes(history: TrainingHistory) -> TrainingWarning | None:
    """Find modes of a known density that are not covered in the second half of the training."""

    def describe(records: Sequence[Record]) -> str:
        reached = f"{records[-1]['modes_covered']} of {records[-1]['modes']} modes"
        return f"generated points reach {reached}. Try {_against_collapse(history)}"

    late = [record for record in history.validations if history.is_late(record)]
    return _warning(
        "missing modes", late, lambda record: record.get("modes_covered", 1) < _REACHED * record.get("modes", 1), describe
    )


def _overwhelming_discriminator(history: TrainingHistory) -> TrainingWarning | None:
    """Find a discriminator that is almost always correct, and saturated, for a fifth of the training."""
    steps = history.of_kind("train")
    prefixes = [name.removesuffix("real_accuracy") for name in _names(steps, "real_accuracy")]
    problem = "it is almost always correct and saturated, so that the generator receives little gradient"
    text = f"{problem}. Try {_against_lead(history)}"
    name = "overwhelming discriminator"
    found = (_warning(name, steps, _overwhelms(prefix), lambda records: text, history.is_long) for prefix in prefixes)
    return next(filter(None, found), None)


def _overwhelms(prefix: str) -> Predicate:
    def overwhelms(record: Record) -> bool:
        accuracy = min(record.get(f"{prefix}{side}_accuracy", 0.0) for side in ("real", "fake"))
        saturation = record.get(f"{prefix}saturation")
        return bool(accuracy > _ALWAYS if saturation is None else accuracy > _ACCURATE and saturation > _SATURATED)

    return overwhelms


def _posterior_collapse(history: TrainingHistory) -> TrainingWarning | None:
    """Find latent units that are inactive in the second half of the training."""

    def is_inactive(record: Record) -> bool:
        units = min(record.get("latent_units", 0), history.dimensions)
        return bool(record.get("active_units", 0) < _ACTIVE * units)

    def is_known(records: Sequence[Record]) -> bool:
        return history.is_late(records[-1]) and records[-1]["step"] >= _EMA_STEPS

    def describe(records: Sequence[Record]) -> str:
        active = f"{records[-1]['active_units']} of {records[-1]['latent_units']} latent units"
        return f"only {active} are active. Try a lower --beta, a smaller --latent-dim, or a longer training"

    return _warning("posterior collapse", history.validations, is_inactive, describe, is_known)


def _divergence(history: TrainingHistory) -> TrainingWarning | None:
    """Find a single player whose validation loss at the end is above that of the untrained model."""
    validations, first = history.validations, history.untrained_loss
    if history.done < 1 or not validations or first is None:
        return None
    (name,) = _names(history.records, "/loss")
    last = f"the validation loss ended at {validations[-1][name]:.4g}, above the {first:.4g} of the untrained model"
    return _warning(
        "divergence",
        validations,
        lambda record: record[name] > first,
        lambda records: f"{last}. Try a lower --lr, or --clip 100",
        lambda records: records[-1] is validations[-1],
    )


def _overfitting(history: TrainingHistory) -> TrainingWarning | None:
    """Find a single player whose loss on validation images is far above that on training images, or rises, in the second half.

    Losses have different units and signs. The gap and the rise are therefore compared with the loss that was learned, since the
    untrained model; the ratio of positive losses also finds a gap that is small against it.
    """
    validations = [record for record in history.validations if history.is_late(record)]
    if history.players != 1 or not validations:
        return None
    (name,) = _names(history.records, "/loss")
    untrained = math.inf if history.untrained_loss is None else history.untrained_loss
    lowest = list(accumulate((record[name] for record in history.validations), min))[-len(validations) :]
    best = {record["step"]: loss for record, loss in zip(validations, lowest, strict=True)}
    training = {record["step"]: _training_loss(history, name, record["step"]) for record in validations}

    def overfits(record: Record) -> bool:
        loss, trained, least = record[name], training[record["step"]], best[record["step"]]
        if not trained < loss < untrained:
            return False
        has_gap = loss - trained > _GAP * (untrained - trained) or 0 < _WORSE * trained < loss
        return has_gap or loss - least > _RISE * (untrained - least)

    def describe(records: Sequence[Record]) -> str:
        last = records[-1]
        losses = f"the loss is {last[name]:.3g} on validation images and {training[last['step']]:.3g} on training images"
        return f"{losses}. Try more images, a smaller model, or --patience 3, which keeps the best weights"

    return _warning("overfitting", validations, overfits, describe)


def _training_loss(history: TrainingHistory, name: str, step: int) -> float:
    """Return the mean training loss of the last report up to a step; infinite before the first."""
    reports = [record for record in history.of_kind("train") if record["step"] <= step and name in record]
    return float(reports[-1][name]) if reports else math.inf


def _warning(
    name: str,
    records: Sequence[Record],
    has_problem: Predicate,
    describe: Callable[[Sequence[Record]], str],
    counts: Callable[[Sequence[Record]], bool] = lambda records: len(records) >= _CONSECUTIVE,
) -> TrainingWarning | None:
    """Return a warning of the last consecutive records with a problem that counts; describe: the problem and its remedies."""
    groups = [(problem, list(group)) for problem, group in groupby(records, has_problem)]
    ends = [group[0]["step"] for _, group in groups[1:]]
    for (problem, group), end in reversed(list(zip_longest(groups, ends))):
        if problem and counts(group) and group[-1]["step"] >= _MIN_STEPS:
            since = group[0]["step"]
            when = f"since step {since:,}" if end is None else f"from step {since:,} to {end:,}"
            return TrainingWarning(name, since, explained_by(f"{name} {when}: {describe(group)}", name))
    return None


def _names(records: Sequence[Record], ending: str) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record if name.endswith(ending)))


def _lowest(records: Sequence[Record], name: str) -> str:
    return f"{min(record[name] for record in records):.1%}"


def _against_collapse(history: TrainingHistory) -> str:
    if (
        history.players == 1 and "latent_dim" in history.settings
    ):  # the latents of images are far from the prior, where samples are
        return "a smaller --latent-dim, or a longer training"
    momentum = ["--beta1 0.5"] if history.players > 1 and history.settings["beta1"] > _MOMENTUM else []
    rate = ["a lower --beta"] if "beta" in history.settings else []
    return _any_of([*momentum, *_unused(history, ("r1", 0, "--r1 0.1"), ("pack", 1, "--pack 2")), *rate])


def _against_lead(history: TrainingHistory) -> str:
    augment = ("augment", "", "--augment translation,cutout")
    return _any_of(_unused(history, ("r1", 0, "--r1 1"), ("spectral_norm", False, "--spectral-norm"), augment))


def _unused(history: TrainingHistory, *settings: tuple[str, object, str]) -> list[str]:
    """Return the flags of those of the settings (name, value if off, flag) that the model has and does not use."""
    return [flag for name, off, flag in settings if name in history.settings and history.settings[name] == off]


def _any_of(remedies: list[str]) -> str:
    """Join remedies; a lower learning rate is always one."""
    return ", or ".join(filter(None, [", ".join(remedies), "a lower --lr"]))
