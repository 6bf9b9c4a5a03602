"""Whether a training is well: rules that tell from its reports alone what goes wrong, since when, and what to do.

A trouble is a function of the lines of `reports.jsonl`: it is found again after a resume, by `watch` and by the report, and in
runs that were trained before its rule was written. docs/monitoring.md says where the thresholds come from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise, zip_longest
from typing import Any

from simulacra.core.config import options
from simulacra.runs.run import Run

Record = Mapping[str, Any]
Bad = Callable[[Record], bool]

_LOOKS = 2  # looks in a row that must agree
_DIVERSE, _FALL = 0.3, 0.5  # a generator that was this diverse has collapsed where less than this share of its best is left
_NEVER, _GROWS = 0.25, 1.05  # it never began where diversity stays below this, and does not grow by this factor from look to look
_YOUNG = 1000  # steps before which that means nothing: an average of weights lags behind by about as many
_REPEATED = 0.2  # distinctness over diversity below which images come again and again
_REACHED = 0.5  # share of the modes of a known law below which modes are missing
_RIGHT, _ALWAYS, _SURE = 0.99, 0.999, 0.9  # right answers of a discriminator, where it is sure of so many fakes or one cannot say
_LONG = 0.2  # share of the training that it must be ahead
_ACTIVE = 0.25  # share of latents in use
_LATE = 0.5  # share of the training before which much is unfinished
_MOMENTUM = 0.5  # beta1 above which games oscillate (Radford et al. 2015, section 4)


@dataclass(frozen=True)
class TrainingWarning:
    """Something that goes wrong. since: the step at which it began; message: what it is, since when, and what to do."""

    name: str
    since: int
    message: str


@dataclass(frozen=True)
class TrainingHistory:
    """A training so far: its reports, the share of it that is done, the values in an image, and its settings by name."""

    records: Sequence[Record]
    done: float
    dimensions: int
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run, done: float) -> "TrainingHistory":
        """Return the course of a run."""
        parts = (run.config.model, run.config.train)
        values = {setting.name: getattr(part, setting.name) for part in parts for setting in options(type(part))}
        return cls(run.reports.read(), done, run.spec.dimensions, values)

    @property
    def looks(self) -> list[Record]:
        """The lines of the looks at validation images."""
        return self._of("validation")

    @property
    def steps(self) -> list[Record]:
        """The lines of training steps."""
        return self._of("train")

    @property
    def players(self) -> int:
        """How many players there are."""
        return len(_names(self.records, "/loss"))

    def share(self, line: Record) -> float:
        """Return the share of the training that was done at a line."""
        last = max(record["step"] for record in self.records)
        return self.done * float(line["step"]) / last if last else 0.0

    def is_late(self, line: Record) -> bool:
        """Return whether a line is of the second half of the training."""
        return self.share(line) >= _LATE

    def is_long(self, spell: Sequence[Record]) -> bool:
        """Return whether lines last for a fifth of the training."""
        return len(spell) >= _LOOKS and self.share(spell[-1]) - self.share(spell[0]) >= _LONG

    def _of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record["kind"] == kind]


def training_warnings(course: TrainingHistory) -> tuple[TrainingWarning, ...]:
    """Return what goes or went wrong in a training: each kind once, the last time that it did."""
    found = [rule(course) for rule in (_alike, _repeated, _missing, _ahead, _idle, _diverged)]
    return tuple(trouble for trouble in found if trouble)


# --- rules


def _alike(course: TrainingHistory) -> TrainingWarning | None:
    """Look for a generator that has lost its diversity, or that never gained any."""
    looks = [look for look in course.looks[1:] if "diversity" in look]  # the first is at the untrained model
    best = accumulate((look["diversity"] for look in looks), max)
    fallen = [look["step"] for look, top in zip(looks, best, strict=True) if top > _DIVERSE and look["diversity"] < _FALL * top]

    def stuck(spell: Sequence[Record]) -> bool:
        pairs = [pair for pair in pairwise(spell) if course.is_late(pair[1]) and pair[1]["step"] >= _YOUNG]
        return any(later["diversity"] < _GROWS * earlier["diversity"] for earlier, later in pairs)

    spell = _last_spell(looks, lambda look: look["step"] in fallen)
    return _trouble(
        "mode collapse",
        spell or _last_spell(looks, lambda look: look["diversity"] < _NEVER, stuck),
        lambda spell: f"generated images differ from each other by {_lowest(spell, 'diversity')} of what real ones do",
        _against_collapse(course),
    )


def _repeated(course: TrainingHistory) -> TrainingWarning | None:
    """Look for few images that come again and again: each is nearly the same as some other one, though all are not alike."""

    def repeated(look: Record) -> bool:
        return look.get("diversity", 0.0) >= _NEVER and look.get("distinctness", 1.0) < _REPEATED * look["diversity"]

    return _trouble(
        "repeated images",
        _last_spell(course.looks[1:], repeated),
        lambda spell: f"generated images lie {_lowest(spell, 'distinctness')} as far from the nearest other one as real ones do",
        _against_collapse(course),
    )


def _missing(course: TrainingHistory) -> TrainingWarning | None:
    """Look for modes of a known law that are not reached in the second half of the training."""
    late = [look for look in course.looks if course.is_late(look)]
    return _trouble(
        "missing modes",
        _last_spell(late, lambda look: look.get("modes_covered", 1) < _REACHED * look.get("modes", 1)),
        lambda spell: f"generated points reach {spell[-1]['modes_covered']} of {spell[-1]['modes']} modes",
        _against_collapse(course),
    )


def _ahead(course: TrainingHistory) -> TrainingWarning | None:
    """Look for a discriminator that is hardly ever wrong, and sure of its fakes, for a fifth of the training."""
    for name in _names(course.steps, "real_accuracy"):
        trouble = _trouble(
            "overwhelming discriminator",
            _last_spell(course.steps, _overwhelming(name.removesuffix("real_accuracy")), course.is_long),
            lambda spell: "it is hardly ever wrong and sure of it, so that it shows the generator no way",
            _against_lead(course),
        )
        if trouble:
            return trouble
    return None


def _overwhelming(prefix: str) -> Bad:
    """Return whether the discriminator whose parts begin so is always right, or nearly so and sure of nearly all fakes."""

    def bad(line: Record) -> bool:
        right = min(line.get(f"{prefix}{side}_accuracy", 0.0) for side in ("real", "fake"))
        sure = line.get(f"{prefix}saturation")
        return bool(right > _ALWAYS if sure is None else right > _RIGHT and sure > _SURE)

    return bad


def _idle(course: TrainingHistory) -> TrainingWarning | None:
    """Look for latents that are not used in the second half of the training."""

    def idle(look: Record) -> bool:
        return "active_units" in look and look["active_units"] < _ACTIVE * min(look["latent_units"], course.dimensions)

    return _trouble(
        "posterior collapse",
        _last_spell(course.looks[1:], idle, lambda spell: course.is_late(spell[-1])),
        lambda spell: f"only {spell[-1]['active_units']} of {spell[-1]['latent_units']} latent units are active",
        "a lower --beta, fewer --latent-dim, or a longer training",
    )


def _diverged(course: TrainingHistory) -> TrainingWarning | None:
    """Look for a lone player's loss that ends above where it began."""
    if course.done < 1 or course.players != 1 or not course.looks:
        return None
    (name,) = _names(course.records, "/loss")
    first = course.looks[0][name]
    spell = _last_spell(course.looks, lambda look: look[name] > first, lambda spell: spell[-1] is course.looks[-1])
    return _trouble(
        "divergence",
        spell,
        lambda spell: f"the validation loss ended at {spell[-1][name]:.4g}, above the {first:.4g} of the untrained model",
        "a lower --lr, or --clip 100",
    )


# --- spells


@dataclass(frozen=True)
class Spell:
    """Bad lines, one after the other. over: the step of the first good one behind them, None if there is none."""

    lines: Sequence[Record]
    over: int | None


def _last_spell(
    lines: Sequence[Record], bad: Bad, long: Callable[[Sequence[Record]], bool] = lambda spell: len(spell) >= _LOOKS
) -> Spell | None:
    """Return the last unbroken sequence of bad lines that is long enough."""
    return next((spell for spell in reversed(list(_spells(lines, bad))) if long(spell.lines)), None)


def _spells(lines: Sequence[Record], bad: Bad) -> Iterator[Spell]:
    groups = [(wrong, list(group)) for wrong, group in groupby(lines, bad)]
    for (wrong, group), after in zip_longest(groups, groups[1:]):
        if wrong:
            yield Spell(group, after[1][0]["step"] if after else None)


def _names(lines: Sequence[Record], ending: str) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line if name.endswith(ending)))


# --- words


def _trouble(name: str, spell: Spell | None, what: Callable[[Sequence[Record]], str], remedy: str) -> TrainingWarning | None:
    if spell is None:
        return None
    since: int = spell.lines[0]["step"]
    when = f"since step {since:,}" if spell.over is None else f"from step {since:,} to {spell.over:,}"
    return TrainingWarning(name, since, f"{name} {when}: {what(spell.lines)}. Try {remedy}")


def _lowest(spell: Sequence[Record], name: str) -> str:
    return f"{min(look[name] for look in spell):.1%}"


def _against_collapse(course: TrainingHistory) -> str:
    momentum = course.players > 1 and course.settings["beta1"] > _MOMENTUM
    penalized = [*_unused(course, "r1", 0, "--r1 0.1"), *_unused(course, "pack", 1, "--pack 2")]
    rate = ["a lower --beta"] if "beta" in course.settings else []
    return _any_of([*(["--beta1 0.5"] if momentum else []), *penalized, *rate])


def _against_lead(course: TrainingHistory) -> str:
    flags = [*_unused(course, "r1", 0, "--r1 1"), *_unused(course, "spectral_norm", False, "--spectral-norm")]
    return _any_of([*flags, *_unused(course, "augment", "", "--augment translation,cutout")])


def _unused(course: TrainingHistory, name: str, off: object, flag: str) -> list[str]:
    """Return the flag of a setting if the model has it and leaves it off."""
    return [flag] if name in course.settings and course.settings[name] == off else []


def _any_of(remedies: list[str]) -> str:
    """Return remedies in words; a lower learning rate is always one."""
    return ", or ".join(filter(None, [", ".join(remedies), "a lower --lr"]))
