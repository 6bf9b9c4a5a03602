"""The expected duration of an evaluation, by short measurements of its parts on this machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from simulacra.core.errors import SimulacraError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import SILENT
from simulacra.data.dataset import Dataset
from simulacra.features.cache import is_embedded
from simulacra.features.extractor import Embedding, Extractor
from simulacra.features.training import NotTrained, expected_seconds, untrained
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric

_TIMED, _LONG = 0.1, 1.0  # seconds from which two measurements, or one, are long enough
_FIRST, _GROWTH, _PART = 4, 4, 8  # images of the first measurement, growth of the next ones, largest of them: an eighth of all


def extractor_seconds(missing: Sequence[NotTrained]) -> float:
    """Return the longest duration of the training of extractors that are not cached, in seconds."""
    return sum(expected_seconds(item) for item in missing)


def measuring_seconds(metrics: Sequence[Metric], context: EvaluationContext, processes: int = 1) -> float:
    """Return the expected duration of metrics in seconds, with trained extractors, by several processes that share the images.

    Metrics of single images are measured on a few of them, and generated images likewise; metrics that compare features are
    begun with random features of the same sizes. Metrics that give no prediction, and those that cannot be measured, count as 0.
    """
    watch = _Stopwatch()
    compared = [metric for metric in metrics if metric.in_features]
    single = [metric for metric in metrics if not metric.in_features]
    seconds = sum(_by_images(metric, context, watch) / (processes if metric.shared else 1) for metric in single)
    if compared:
        extractor = _extractor(context)
        pilot = _limited(context, len(context.split), len(context.opened.dataset.train))
        _set_random_features(pilot, extractor)
        seconds += _shared(context, extractor, watch) / processes + sum(_by_meter(metric, pilot, watch) for metric in compared)
    return seconds * watch.load


def in_words(seconds: float) -> str:
    """Return a duration in words, rounded to two digits or so.

    >>> in_words(0.4), in_words(47.2), in_words(100), in_words(3000), in_words(9000)
    ('1 s', '47 s', '1 min 40 s', '50 min', '2.5 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 600:
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --- short measurements


class _Stopwatch:
    """Measures CPU time, which other processes disturb less than real time; `load` is the ratio of real time to it."""

    def __init__(self) -> None:
        self.cpu, self.real = 0.0, 0.0

    @property
    def load(self) -> float:
        return self.real / self.cpu if self.cpu else 1.0

    def time(self, action: Callable[[], object]) -> float:
        """Return the CPU time of an action in seconds; 0 where there are too few images, or an extractor is not trained."""
        cpu, real = time.process_time(), time.perf_counter()
        try:
            action()
        except (SimulacraError, ValueError, RuntimeError):
            return 0.0
        taken = time.process_time() - cpu
        self.cpu, self.real = self.cpu + taken, self.real + time.perf_counter() - real
        return taken


def _by_images(metric: Metric, context: EvaluationContext, watch: _Stopwatch) -> float:
    """Return the duration of a metric that is proportional to a number of images."""
    if metric.images is None:
        return 0.0

    def measure(count: int) -> None:
        limited = _limited(context, count, count, **dict(metric.pilot))
        with inference_mode(context.model):
            metric.measure(limited)

    return _extrapolated(measure, metric.images(context), watch)


def _shared(context: EvaluationContext, extractor: Extractor, watch: _Stopwatch) -> float:
    """Return the duration of generating images, and of the features of all images that are not cached."""

    def generate(count: int) -> None:
        limited = _limited(context, count, count)
        limited.extractor = extractor
        _ = limited.generated

    def embed(count: int) -> None:
        extractor.embed(context.split.head(count).images, _Stop(float("inf")))

    data = context.opened.dataset
    real = sum(len(split) for split in (data.train, context.split) if not is_embedded(extractor, data, split))
    return _extrapolated(generate, context.settings.samples, watch) + _extrapolated(embed, real, watch)


def _extrapolated(measure: Callable[[int], object], count: int, watch: _Stopwatch) -> float:
    """Return the duration for `count` images, by the growth of that for fewer; 0 where these cannot be measured."""
    if not count:
        return 0.0
    size = min(_FIRST, count)
    _Stopwatch().time(lambda: measure(size))  # imports of libraries and first calls take longer
    before, seconds = 0.0, watch.time(lambda: measure(size))
    each = seconds / size
    while seconds < _LONG and _GROWTH * size <= count / _PART and (seconds < _TIMED or not before):
        before, size = seconds, _GROWTH * size
        seconds = watch.time(partial(measure, size))
        each = max(seconds - before, 0.0) / (size - size // _GROWTH)
    return seconds + each * (count - size)


def _by_meter(metric: Metric, pilot: EvaluationContext, watch: _Stopwatch) -> float:
    """Return the duration of a metric of random features, which is stopped after a part of its work."""
    progress = _Part()
    pilot.progress = progress

    def begin() -> None:
        with suppress(_Stopped):
            metric.measure(pilot)

    return watch.time(begin) + progress.rest


class _Stopped(Exception):
    """The work that is timed has taken long enough."""


class _Stop:
    """A meter that raises _Stopped some CPU seconds after it first advanced."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.count, self.each = seconds, 0, 0.0
        self._first: tuple[float, int] | None = None

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Count; raise _Stopped where it is time. `each` is the time of one unit, without what precedes the first."""
        self.count += amount
        now = time.process_time()
        if self._first is None:
            self._first = now, self.count
            return
        began, first = self._first
        self.each = (now - began) / max(self.count - first, 1)
        if now - began > self.seconds:
            raise _Stopped


class _Part:
    """A Progress that stops a task after some time; `rest` is the CPU time of the rest of it."""

    def __init__(self) -> None:
        self.rest = 0.0

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[_Stop]:
        """Open a meter that stops the task."""
        meter = _Stop(_TIMED)
        try:
            yield meter
        except _Stopped:
            self.rest = meter.each * max((total or 0) - meter.count, 0)
            raise

    def message(self, message: str) -> None:
        """Do nothing."""


# --- what is measured


def _limited(context: EvaluationContext, held_out: int, train: int, **settings: Any) -> EvaluationContext:
    """Return a context with at most so many held-out, generated and training images, and its own features and latents."""
    opened = copy(context.opened)
    opened.dataset = _first(context.opened.dataset, held_out, train)
    samples = min(context.settings.samples, held_out)
    limited = EvaluationContext(opened, replace(context.settings, samples=samples, **settings), SILENT, cached_only=True)
    if "extractor" in vars(context):
        limited.extractor = context.extractor
    return limited


def _first(data: Dataset, held_out: int, train: int) -> Dataset:
    domains = {name: _first(domain, held_out, train) for name, domain in data.domains.items()}
    validation, test = data.validation[:held_out], data.test[:held_out]
    return replace(data, train=data.train[:train], validation=validation, test=test, domains=domains)


def _extractor(context: EvaluationContext) -> Extractor:
    """Return the extractor, with random weights where it is not trained."""
    try:
        return _limited(context, 1, 1).extractor
    except NotTrained as missing:
        return untrained(missing)


def _set_random_features(context: EvaluationContext, extractor: Extractor) -> None:
    dimensions, classes = extractor.network.dimensions, max(len(extractor.classes), 1)
    generator = torch.Generator().manual_seed(0)

    def random(count: int) -> Embedding:
        predictions = torch.arange(count) % classes if extractor.classes else None
        return Embedding(torch.randn(count, dimensions, generator=generator), predictions)

    context.extractor, context.generated = extractor, random(context.settings.samples)
    for split in (context.opened.dataset.train, context.split):
        context._real[split.name] = random(len(split))
