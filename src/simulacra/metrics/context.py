"""What is measured: a trained model, its data, and the features of real and generated images, each computed once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor

from simulacra.core.capabilities import Samples, SamplesIteratively, SamplingPlan, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import NotApplicable
from simulacra.core.eval_mode import inference
from simulacra.core.files import write_bytes
from simulacra.core.progress import Progress
from simulacra.core.randomness import noise
from simulacra.data.dataset import Dataset, Split, levels
from simulacra.data.locations import cache_folder
from simulacra.features.extractor import Embedding, Extractor
from simulacra.features.loading import default_extractor, load_extractor
from simulacra.metrics.settings import EvaluateConfig
from simulacra.runs.generation import plan_facts, sample_in_batches

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

_AT_ONCE = 250  # images that are generated together


@dataclass
class EvaluationContext:
    """A trained model under evaluation."""

    trained: "OpenedRun"
    settings: EvaluateConfig
    progress: Progress
    _real: dict[str, Embedding] = field(default_factory=dict)

    @property
    def split(self) -> Split:
        """The images that everything is measured on: the whole of the split that the settings name."""
        return self.held_out(self.trained.dataset)

    def held_out(self, data: Dataset) -> Split:
        """Return the images of a data set that are measured on."""
        return data.validation if self.settings.split == "validation" else data.test

    @cached_property
    def extractor_name(self) -> str:
        """The extractor that the settings mean."""
        chosen = self.settings.extractor
        return default_extractor(self.trained.spec) if chosen == "auto" else chosen

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor, trained now if it never was; raises NotApplicable where there can be none."""
        if self.extractor_name == "none":
            raise NotApplicable("--extractor none leaves out what is measured in features")
        return load_extractor(self.extractor_name, self.trained.dataset, self.settings.extractor_seed, self.progress)

    @cached_property
    def generated(self) -> Embedding:
        """Features and classes of `settings.samples` generated images; images and features never all stand in memory twice."""
        extractor = self.extractor
        with self.progress.task("generating", self.settings.samples, "images") as meter:
            return _joined([extractor.embed(images, meter) for images in self.images()])

    @cached_property
    def plan(self) -> SamplingPlan | None:
        """How a model that refines noise does so here; None for others. Raises UsageError for what it cannot do."""
        model, settings = self.trained.model, self.settings
        if not isinstance(model, SamplesIteratively):
            return None
        guidance = None if settings.guidance_scale < 0 else settings.guidance_scale
        plan = self.trained.plan(settings.sampler or None, settings.steps or None, guidance, settings.precision)
        model.check(plan)
        return plan

    @property
    def sampling_protocol(self) -> dict[str, Any]:
        """What the protocol of generated images says of how they were made."""
        return {} if self.plan is None else plan_facts(self.plan)

    @property
    def classes(self) -> int:
        """Number of classes that the model draws on request; 0 if it draws none."""
        model = self.trained.model
        return model.label_sizes[0] if isinstance(model, Samples) and len(model.label_sizes) == 1 else 0

    def images(self) -> Iterator[Tensor]:
        """Yield `settings.samples` generated images, some at once, in 256 levels."""
        for drawn, _ in self._noises():
            yield self._generated(drawn, UNCONDITIONAL)

    def labelled_images(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield as many images of a conditional model with the classes asked for: class k mod K for image k."""
        for drawn, first in self._noises():
            labels = torch.arange(first, first + len(drawn)) % self.classes
            yield self._generated(drawn, Condition(labels)), labels

    def _noises(self) -> Iterator[tuple[Tensor, int]]:
        """Yield noise of all images, some at once, with the number of the first of them."""
        model = require(self.trained.model, Samples, "fidelity")
        count, seed = self.settings.samples, self.settings.seed
        for start in range(0, count, _AT_ONCE):
            yield noise(seed, start, min(_AT_ONCE, count - start), model.noise_shape), start

    def _generated(self, drawn: Tensor, condition: Condition) -> Tensor:
        model = require(self.trained.model, Samples, "fidelity")
        with inference(self.trained.model):
            if isinstance(model, SamplesIteratively) and self.plan is not None:
                return levels(sample_in_batches(model, drawn, condition, self.plan))
            return levels(model.generate(drawn, condition))

    def real(self, split: Split) -> Embedding:
        """Return features and classes of a split; they are kept in the cache."""
        if split.name not in self._real:
            self._real[split.name] = self._embedded(split)
        return self._real[split.name]

    def _embedded(self, split: Split) -> Embedding:
        data, seen = self.trained.dataset, self.extractor
        facts = (seen.digest, seen.network.rule(), data.digest, data.spec.shape, split.name, len(split))  # sizes share a digest
        identity = json.dumps(facts)
        path = cache_folder() / "features" / f"{sha256(identity.encode()).hexdigest()[:32]}.safetensors"
        try:
            tensors = parse_tensors(path.read_bytes())
            return Embedding(tensors["features"], tensors.get("predictions"))
        except (OSError, SafetensorError, KeyError):
            pass
        with self.progress.task(f"features of {split.name} images", len(split), "images") as meter:
            found = self.extractor.embed(split, meter)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, serialize_tensors(_named(found)))
        return found


def _joined(found: list[Embedding]) -> Embedding:
    predictions = [item.predictions for item in found if item.predictions is not None]
    return Embedding(torch.cat([item.features for item in found]), torch.cat(predictions) if predictions else None)


def _named(found: Embedding) -> dict[str, Any]:
    tensors = {"features": found.features, "predictions": found.predictions}
    return {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
