"""What metrics measure: an opened run, its data, and what several metrics share, each computed once.

Processes that share work share the images that are generated, embedded and encoded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import LatentSpace, Samples, SamplesIteratively, SamplingPlan, require
from simulacra.core.condition import Condition
from simulacra.core.config import Config, options
from simulacra.core.device import images_per_call, model_device
from simulacra.core.errors import DataError, NotApplicable
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Family, model_condition
from simulacra.core.finite import require_finite
from simulacra.core.progress import NO_METER, Progress
from simulacra.core.randomness import noise
from simulacra.data.dataset import Dataset, Split, levels
from simulacra.data.synthetic.known_densities import known_density_of
from simulacra.engine.distributed.shared_work import chunks_of, in_parts, sharing_processes
from simulacra.features.cache import cached_embedding, not_in_cache
from simulacra.features.extractor import Embedding, Extractor, joined
from simulacra.features.loading import default_extractor, feature_dimensions, load_extractor, why_not
from simulacra.features.training import NotTrained
from simulacra.metrics.settings import SharedSettings
from simulacra.metrics.statistics.model_inputs import in_batches, likelihood_condition
from simulacra.runs.generation import plan_facts, sample_in_batches
from simulacra.runs.label_shares import LabelShares
from simulacra.runs.opened import OpenedRun

Options = TypeVar("Options", bound=Config)
Compute = Callable[[Tensor, range], Mapping[str, Tensor]]

NO_SAMPLES = "disabled by --samples 0"
NO_EXTRACTOR = "disabled by --extractor none"
_GENERATED_CHUNK = 250  # images generated per call of the model on CPUs
_ENCODED_CHUNK = 500  # images encoded per call of the model
_FEWEST_SAMPLES, _MOST_SAMPLES = 1000, 10_000  # number of images to generate by default


@dataclass
class EvaluationContext:
    """An opened run under evaluation. Images and features that several metrics use are computed once and kept.

    settings: with `samples` -1 replaced by the number that fits the held-out images; cached_only: no extractor is trained, one
    that is not cached raises NotTrained.
    """

    opened: OpenedRun
    settings: SharedSettings
    progress: Progress
    cached_only: bool = False
    _real: dict[str, Embedding] = field(default_factory=dict)
    _latents: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.settings.samples < 0:
            self.settings = replace(self.settings, samples=min(max(len(self.split), _FEWEST_SAMPLES), _MOST_SAMPLES))

    def options(self, kind: type[Options]) -> Options:
        """Return the options of one metric, of the class that the metric declares."""
        values = vars(self.settings)
        return kind.of({item.name: values[item.name] for item in options(kind) if item.name in values})

    @property
    def model(self) -> Family:
        """The model under evaluation."""
        return self.opened.model

    @cached_property
    def device(self) -> torch.device:
        """The device of the model. Images are moved there; results and features are on the CPU."""
        return model_device(self.model)

    # --- real images

    @property
    def split(self) -> Split:
        """The real images that all metrics use: the whole split that the settings name."""
        return self.held_out(self.opened.dataset)

    def held_out(self, data: Dataset) -> Split:
        """Return the split of a data set that the settings name."""
        return data.validation if self.settings.split == "validation" else data.test

    @property
    def density_is_known(self) -> bool:
        """Whether the data are drawn from a known density, so that features are not used."""
        return known_density_of(self.opened.dataset) is not None

    # --- features

    @cached_property
    def extractor_name(self) -> str:
        """The name of the extractor: that of the settings, or the default for images of this shape."""
        chosen = self.settings.extractor
        return default_extractor(self.opened.spec) if chosen == "auto" else chosen

    @property
    def feature_dimensions(self) -> int:
        """The number of features of an image, which is known without the extractor."""
        return feature_dimensions(self.extractor_name)

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor, trained now if it is not cached; raises NotApplicable where there is none."""
        if self.extractor_name == "none":
            raise NotApplicable(NO_EXTRACTOR)
        return self.load_extractor(self.extractor_name, self.opened.dataset)

    def load_extractor(self, name: str, data: Dataset) -> Extractor:
        """Return an extractor for a data set on the model's device, trained with the seed of the settings.

        Of several processes the first trains it; the others read it from the cache then.
        """
        seed, device = self.settings.extractor_seed, self.device

        def load(cached: bool) -> Extractor:
            return load_extractor(name, data, seed, self.progress, device=device, cached=cached)

        if self.cached_only:
            return load(True)
        if reason := why_not(name, data):
            raise NotApplicable(reason)
        processes = sharing_processes()
        loaded = processes.lead(lambda: load(False))
        try:
            return loaded or load(True)
        except NotTrained as error:
            raise DataError(not_in_cache(f"the extractor {name}")) from error

    @property
    def feature_protocol(self) -> dict[str, Any]:
        """Facts in the protocol of every number that compares generated and real images in feature space."""
        compared = {"reference": self.settings.split, "generated": "rounded to 256 levels", "seed": self.settings.seed}
        return {**self.extractor.protocol, **compared, **self.label_shares.facts, **self.sampling_protocol}

    @cached_property
    def generated(self) -> Embedding:
        """Features and predicted classes of `settings.samples` generated images; the images themselves are not kept."""
        if self.settings.samples == 0:
            raise NotApplicable(NO_SAMPLES)
        extractor, found = self.extractor, list[Embedding]()

        def embedded(images: Tensor, rows: range) -> dict[str, Tensor]:
            part = extractor.embed(images, NO_METER)
            return {name: values for name, values in vars(part).items() if values is not None}

        with self.progress.task("generating", self.settings.samples, "images") as meter:
            for rows, part in self.in_images(embedded):
                found.append(Embedding(part["features"], part.get("predictions")))
                meter.advance(len(rows))
        return joined(found)

    def real(self, split: Split) -> Embedding:
        """Return features and predicted classes of a split; they are stored in the cache."""
        if split.name not in self._real:
            self._real[split.name] = cached_embedding(self.extractor, self.opened.dataset, split, self.progress)
        return self._real[split.name]

    @property
    def held_out_features(self) -> Embedding:
        """Features of the held-out images, the reference of generated images."""
        return self.real(self.split)

    @property
    def train_features(self) -> Embedding:
        """Features of all training images."""
        return self.real(self.opened.dataset.train)

    def floor_sets(self) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Return features of generated images, of other real images in at least that number, and facts for the protocol.

        The real images take the place of generated images in the floor of a metric. They are the validation images where these
        are as many as the generated images and not the reference, because extractors are trained on the training images; else
        training images. Where there are fewer training images than generated images, only as many of the latter are used.
        """
        fakes, validation = self.generated.features, self.opened.dataset.validation
        if self.settings.split == "test" and len(validation) >= len(fakes):
            return fakes, self.real(validation).features, {"floor": "validation images"}
        real = self.train_features.features
        seen = self.extractor.facts.get("data", {}).get("digest") == self.opened.dataset.digest
        facts = {"floor": f"training images{', on which the extractor was trained' if seen else ''}"}
        if len(real) < len(fakes):
            facts["common_count"] = f"{len(real):,} of {len(fakes):,} generated images, as many as there are training images"
        return fakes[: len(real)], real, facts

    # --- generated images

    @cached_property
    def plan(self) -> SamplingPlan | None:
        """The sampling plan of a diffusion or flow model; None for others. Raises UsageError for an invalid plan."""
        return sampling_plan(self.opened, self.settings.table())

    @property
    def sampling_protocol(self) -> dict[str, Any]:
        """Facts of the sampling plan, for protocols; empty for models without one."""
        return {} if self.plan is None else plan_facts(self.plan)

    @property
    def classes(self) -> int:
        """Number of classes that the model generates on request; 0 if it is unconditional."""
        model = self.model
        return model.label_sizes[0] if isinstance(model, Samples) and len(model.label_sizes) == 1 else 0

    @cached_property
    def label_shares(self) -> LabelShares:
        """The shares of the labels of generated images: those of the training images."""
        return LabelShares(self.opened.dataset.train, self.model.label_sizes)

    def images(self) -> Iterator[Tensor]:
        """Yield `settings.samples` generated images in chunks, rounded to 256 levels; labels have the shares of the data."""
        yield from (found["images"] for _, found in self.in_images(lambda images, rows: {"images": images}))

    def labelled_images(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield as many images of a conditional model with their requested classes: class k mod K for image k."""
        for rows, found in self.in_labelled_images(lambda images, rows: {"images": images}):
            yield found["images"], self.requested_classes(rows)

    def in_images(self, compute: Compute) -> Iterator[tuple[range, Mapping[str, Tensor]]]:
        """Yield what `compute` returns of the chunks of `images` (images, their numbers), with their numbers."""
        return self._in_generated(lambda drawn, rows: self.label_shares.condition(drawn), compute)

    def in_labelled_images(self, compute: Compute) -> Iterator[tuple[range, Mapping[str, Tensor]]]:
        """Yield what `compute` returns of the chunks of `labelled_images`, as `in_images`."""
        return self._in_generated(lambda drawn, rows: Condition(self.requested_classes(rows)), compute)

    def in_requested_images(self, requested: NDArray[np.int64], compute: Compute) -> Iterator[tuple[range, Mapping[str, Tensor]]]:
        """Yield the same of images with the conditions of held-out images: image k with that of requested[k]."""

        def condition(drawn: Tensor, rows: range) -> Condition:
            return model_condition(self.model, self.split.batch(requested[rows.start : rows.stop]))

        return self._in_generated(condition, compute)

    def requested_classes(self, rows: range) -> Tensor:
        """Return the classes of the images of these numbers in `labelled_images`: int64 [n]."""
        return torch.arange(rows.start, rows.stop) % self.classes

    def _in_generated(
        self, condition: Callable[[Tensor, range], Condition], compute: Compute
    ) -> Iterator[tuple[range, Mapping[str, Tensor]]]:
        model = require(self.model, Samples, "fidelity")
        size = images_per_call(self.device, self.opened.spec.dimensions, _GENERATED_CHUNK)

        def computed(rows: range) -> Mapping[str, Tensor]:
            drawn = noise(self.settings.seed, rows.start, len(rows), model.noise_shape)
            return compute(self._generated(drawn, condition(drawn, rows)), rows)

        return in_parts(chunks_of(self.settings.samples, size), computed)

    def _generated(self, drawn: Tensor, condition: Condition) -> Tensor:
        model = require(self.model, Samples, "fidelity")
        moved, given = drawn.to(self.device), condition.to(self.device)
        with inference_mode(self.model):
            if isinstance(model, SamplesIteratively) and self.plan is not None:
                images = sample_in_batches(model, moved, given, self.plan)
            else:
                images = model.generate(moved, given)
            return levels(require_finite(images, "generated images")).cpu()

    # --- latents

    def latents(self, split: Split) -> Tensor:
        """Return the latents of a split: float32 [n d] on the CPU."""
        key, model = (split.name, len(split)), cast(LatentSpace, self.model)
        if key not in self._latents:

            def encoded(number: int, batch: Batch) -> dict[str, Tensor]:
                return {"latents": model.encode(batch.images, likelihood_condition(model, batch)).float().cpu()}

            with inference_mode(self.model), self.progress.task(f"encoding {split.name} images", len(split), "images") as meter:
                self._latents[key] = in_batches(model, split, encoded, meter, _ENCODED_CHUNK)["latents"]
        return self._latents[key]


def sampling_plan(opened: OpenedRun, settings: Mapping[str, Any]) -> SamplingPlan | None:
    """Return the sampling plan of a model under settings of an evaluation, as in its JSON; None for a model without one.

    Raises UsageError for an invalid plan.
    """
    if not isinstance(opened.model, SamplesIteratively):
        return None
    sampler, steps, scale = settings["sampler"], settings["steps"], settings["guidance_scale"]
    plan = opened.plan(sampler or None, steps or None, None if scale < 0 else scale, settings["precision"])
    opened.model.check(plan)
    return plan
