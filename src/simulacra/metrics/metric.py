"""The definition of a metric: what it reports, what it needs of a model, what it depends on, and how it is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal

from simulacra.core.config import Config
from simulacra.core.errors import DataError, UsageError
from simulacra.features.extractor import Extractor
from simulacra.images.section import ReportSection
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.applicable import Requirement
from simulacra.runs.opened import OpenedRun

Better = Literal["smaller", "larger", "neither"]
Measured = dict[str, Measurement]
Section = Callable[[OpenedRun, "MetricResults"], ReportSection | None]


@dataclass(frozen=True)
class Quantity:
    """One number that a metric reports.

    name: in JSON; title: in tables; better: the direction of improvement; meaning: one or two sentences for the reader of a
    report; real: the value of real images by definition, where it is not measured.
    """

    name: str
    title: str
    better: Better
    meaning: str
    real: str = ""


@dataclass(frozen=True)
class MetricResults:
    """Results of one metric.

    measurements: by the name of the number; missing: reasons why numbers are missing, by their names; artifacts: data of the
    metric's section in the report, such as positions of images, ready for JSON.
    """

    measurements: Mapping[str, Measurement]
    missing: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Any] = field(default_factory=dict)

    def under(self, facts: Mapping[str, Any]) -> "MetricResults":
        """Return the same results with more facts in the protocol of every number."""
        return replace(self, measurements={name: item.under(facts) for name, item in self.measurements.items()})

    def finite(self) -> "MetricResults":
        """Return the same results with numbers that are infinite or NaN among the missing ones."""
        broken = {name: item for name, item in self.measurements.items() if not isfinite(item.value)}
        reasons = {name: f"its value is {item.value}: outputs of the model are too large" for name, item in broken.items()}
        kept = {name: item for name, item in self.measurements.items() if name not in broken}
        return replace(self, measurements=kept, missing={**self.missing, **reasons})


@dataclass(frozen=True)
class Metric:
    """One metric of `evaluate`.

    name: the name of its file; quantities: the numbers that it reports; needs: the capabilities, and fields of a condition such
    as "labels", that a model must have, the most specific one last; order: metrics are measured and listed by it, ascending, so
    that cheap ones come first; cost: the amount of computation, in words.

    images: the number of images that the duration is proportional to, None where the duration is not predicted; pilot: settings
    under which a short measurement predicts it; in_features: whether generated and real images are compared in the features of
    the context, which all such metrics share.

    settings: names of the evaluation settings that the numbers depend on, which are part of the key of the cached result;
    options: settings of this metric alone, which become flags of `evaluate` and `compare`; not_applicable: the reason why the
    metric does not apply to a model that has the capabilities, empty where it applies; extractors: the feature extractors
    used, where `extractor` is among the settings.

    shared: whether processes that share work measure the metric together, each its part of the images; the first alone if not.

    details: names of facts in the protocol that are results, which may differ between runs that are compared; all other facts
    are conditions, which must be equal. section: the metric's section of the run report, from its results of the newest
    evaluation.
    """

    name: str
    quantities: tuple[Quantity, ...]
    needs: tuple[Requirement, ...]
    order: int
    cost: Callable[[EvaluationContext], str]
    measure: Callable[[EvaluationContext], MetricResults]
    settings: tuple[str, ...] = ()
    options: type[Config] | None = None
    not_applicable: Callable[[EvaluationContext], str] = lambda context: ""
    extractors: Callable[[EvaluationContext], Sequence[Extractor]] = lambda context: (context.extractor,)
    details: frozenset[str] = frozenset()
    section: Section | None = None
    images: Callable[[EvaluationContext], int] | None = lambda context: len(context.split)
    pilot: tuple[tuple[str, object], ...] = ()
    in_features: bool = False
    shared: bool = True

    def reports(self, name: str) -> bool:
        """Return whether the metric reports a number of this name."""
        return any(item.name == name for item in self.quantities)


def attempt(measures: Mapping[str, Callable[[], Measurement | Measured]]) -> MetricResults:
    """Measure each of several numbers, by name; where one cannot be measured, its name is `missing` with the reason."""
    found: Measured = {}
    missing: dict[str, str] = {}
    for name, measure in measures.items():
        try:
            result = measure()
            found |= {name: result} if isinstance(result, Measurement) else result
        except (UsageError, DataError) as error:
            missing[name] = str(error)
    return MetricResults(found, missing)
