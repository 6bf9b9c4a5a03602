"""Curves as geometry: the template of the report draws them as SVG."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Points = tuple[tuple[float, float], ...]

WIDTH, HEIGHT = 460.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 10.0, 28.0  # margins around the frame
_POINTS = 300  # more points than this are averaged in groups, since the frame has about 400 pixels
_EARLY, _NEAR = 0.05, 0.5  # share of the first steps that may lie outside the frame, and their distance as a share of its range
_FEW = 5  # points that are always inside the frame
_DECADES = 2  # a larger fall is drawn on a logarithmic scale
_COLOURS = 6
_STEPS = "training steps"


@dataclass(frozen=True)
class Series:
    """One quantity over the steps of a run: averaged over training steps, and on validation images; (step, value) pairs."""

    name: str
    train: Points = ()
    validation: Points = ()

    @property
    def points(self) -> Points:
        """All pairs."""
        return self.train + self.validation


@dataclass(frozen=True)
class Mark:
    """A label at a position in pixels: of a single value, or of a tick, which has the same position along both axes."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series as SVG path data, the number of its colour, the last values as text."""

    name: str
    colour: int
    train: str
    validation: str
    dots: tuple[Mark, ...]
    last_train: str
    last_validation: str


@dataclass(frozen=True)
class Plot:
    """A frame with its lines and ticks. along: the name of the horizontal axis; clipped: the first values lie outside."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    logarithmic: bool
    clipped: bool
    along: str = _STEPS


def losses_plot(records: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Return the plot of the loss of every player of a run, or None before the first report."""
    kept = [{name: value for name, value in record.items() if "/" not in name or name.endswith("/loss")} for record in records]
    return plot("loss", list(_losses(kept).values()))


def plots(records: Sequence[Mapping[str, Any]]) -> tuple[Plot, ...]:
    """Return the plots of a run's reports: losses and their parts by unit, diversity, learning rate, active latent units."""
    losses = _losses(records)
    groups: dict[str, list[Series]] = {}
    for name, series in losses.items():
        groups.setdefault(_unit(name), []).append(series)
    drawn = [plot(unit, group) for unit, group in sorted(groups.items(), key=lambda item: _ORDER.get(item[0], 2))]
    units = {"active": "active_units", "all": "latent_units"}
    others = {
        "diversity": [Series(name, validation=_points(records, "validation", name)) for name in ("diversity", "distinctness")],
        "modes reached": [Series("reached", validation=_points(records, "validation", "modes_covered"))],
        "learning rate": [Series("learning rate", train=_points(records, "train", "lr"))],
        "active latent units": [Series(name, train=_points(records, "validation", key)) for name, key in units.items()],
    }
    drawn += [plot(title, group, from_zero=True) for title, group in others.items()]
    return tuple(item for item in drawn if item is not None)


def plot(title: str, group: Sequence[Series], from_zero: bool = False, along: str = _STEPS) -> Plot | None:
    """Return the plot of several series in one unit, or None without points. along: the name of the horizontal axis."""
    drawable = [series for series in group if series.points]
    if not drawable:
        return None
    steps, values = zip(*(point for series in drawable for point in series.points), strict=True)
    low, high = (min(0.0, *values), max(values)) if from_zero else _range(drawable, max(steps))
    across = _Axis(0.0, max(*steps, 1.0), LEFT, WIDTH - RIGHT)
    up = _up(low, high, logarithmic=not from_zero and any(_falls_by_decades(series) for series in drawable))
    lines = tuple(_line(series, index % _COLOURS, across, up) for index, series in enumerate(drawable))
    clipped = min(values) < up.low or max(values) > up.high
    return Plot(title, lines, across.ticks(), up.ticks(), up.logarithmic, clipped, along)


def short(value: float) -> str:
    """Return a number of an axis or a legend in few characters.

    >>> [short(value) for value in (98.4321, 0.00912, 1.5e-5, 20000, 0.0)]
    ['98.43', '0.00912', '1.5e-5', '20,000', '0']
    """
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


_ORDER = {"nats per image": 0, "loss": 1}
_UNITS = {"_nats": "nats per image", "_db": "decibels", "_accuracy": "accuracy", "_logit": "logit", "_score": "score"}


def _unit(name: str) -> str:
    """Return the unit of `player/part`, which its name ends with, or the part's name where it has none."""
    part = name.split("/", 1)[1]
    return next((unit for ending, unit in _UNITS.items() if part.endswith(ending)), part.replace("_", " "))


def _losses(records: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    names = dict.fromkeys(name for record in records for name in record if "/" in name)
    one_player = len({name.split("/", 1)[0] for name in names}) == 1
    kinds = ("train", "validation")
    return {name: Series(_words(name, one_player), *(_points(records, kind, name) for kind in kinds)) for name in names}


def _words(name: str, one_player: bool) -> str:
    player, part = name.split("/", 1)
    ending = next((ending for ending in _UNITS if part.endswith(ending)), "")
    words = part.removesuffix(ending).replace("_", " ").replace("elbo", "ELBO").replace("iwae", "IWAE")
    return words if one_player else f"{player}: {words}"


def _points(records: Iterable[Mapping[str, Any]], kind: str, name: str) -> Points:
    pairs: list[tuple[Any, Any]] = [(record.get("step"), record.get(name)) for record in records if record.get("kind") == kind]
    numbers = [pair for pair in pairs if all(isinstance(item, int | float) and math.isfinite(item) for item in pair)]
    return tuple((float(step), float(value)) for step, value in numbers)


def _range(group: Sequence[Series], last: float) -> tuple[float, float]:
    """Return lowest and highest value; of the first steps, whose values are often much larger, only those near the rest."""
    points = [point for series in group for point in series.points]
    values = [value for _, value in points]
    late = [value for step, value in points if step > _EARLY * last] or values
    margin = _NEAR * (max(late) - min(late)) if len(late) > _FEW else math.inf
    return max(min(values), min(late) - margin), min(max(values), max(late) + margin)


def _falls_by_decades(series: Series) -> bool:
    values = [value for _, value in series.points]
    return min(values) > 0 and max(values) > 10**_DECADES * values[-1] and len(values) > _FEW


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        return round(self.start + (self._scaled(value) - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> tuple[Mark, ...]:
        values = _decades(self.low, self.high) if self.logarithmic else _round_values(self.low, self.high)
        return tuple(Mark(self.place(value), self.place(value), short(value)) for value in values)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low * 1e-3)) if self.logarithmic else value


def _up(low: float, high: float, logarithmic: bool) -> _Axis:
    """Return the vertical axis for values from `low` to `high`, with a margin; zero has none."""
    if logarithmic and low > 0:
        margin = (high / low) ** 0.05
        return _Axis(low / margin, high * margin, HEIGHT - BOTTOM, TOP, True)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return _Axis(low - margin if low else 0.0, high + margin, HEIGHT - BOTTOM, TOP)


def _round_values(low: float, high: float) -> list[float]:
    """Return about five round values between two."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten between two values, with 2 and 5 of each where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if math.log10(high / low) < 3 else (1,)
    return [value for power in powers for factor in factors if low <= (value := factor * 10.0**power) <= high]


def _line(series: Series, colour: int, across: _Axis, up: _Axis) -> Line:
    def placed(points: Points) -> Points:
        return tuple((across.place(step), up.place(value)) for step, value in points)

    dots = tuple(
        Mark(x, y, f"{series.name}, validation at step {step:,.0f}: {short(value)}")
        for (step, value), (x, y) in zip(series.validation, placed(series.validation), strict=True)
    )
    lasts = (short(points[-1][1]) if points else "" for points in (series.train, series.validation))
    paths = _path(placed(_averaged(series.train))), _path(placed(series.validation))
    return Line(series.name, colour, *paths, dots, *lasts)


def _path(points: Points) -> str:
    """Return SVG path data; a single point becomes a line of length zero, which round caps draw as a dot."""
    if len(points) == 1:
        return f"M{points[0][0]:g} {points[0][1]:g}h0"
    return " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(points))


def _averaged(points: Points) -> Points:
    """Return at most 300 points: means of neighbours."""
    size = -(-len(points) // _POINTS) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple((fmean(step for step, _ in group), fmean(value for _, value in group)) for group in groups)
