"""A trained model, opened from its run folder: the Python side of every command."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from simulacra.applications import latent_paths as paths
from simulacra.applications.translate import source_of, translated
from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import (
    AMORTIZED_LATENT_SPACE,
    LatentSpace,
    Reconstructs,
    Restores,
    Samples,
    SamplesIteratively,
    SamplingPlan,
    Translates,
    of,
    require,
)
from simulacra.core.condition import Condition
from simulacra.core.errors import NotApplicable, UsageError, unknown
from simulacra.core.eval_mode import inference
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import noise
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.engine.hardware import channels_last, keep_memory, precision_of
from simulacra.runs.generation import Order, changed, sampled
from simulacra.runs.run import Run

_AT_ONCE = 256  # images per call of the network


class OpenedRun:
    """A model with the weights of its newest checkpoint, ready to be used. Images are float [n c h w] in [0, 1]."""

    def __init__(self, run: Run, dataset: Dataset | None = None, progress: Progress = SILENT) -> None:
        self.run = run
        keep_memory()
        self.model, self.step, problems = run.load_family()
        for problem in problems:
            progress.message(f"warning: {problem}; the one of step {self.step:,} is used")
        channels_last(self.model)
        self.spec = run.spec
        if dataset is not None:
            self.dataset = run.check_data(dataset)

    @cached_property
    def dataset(self) -> Dataset:
        """The data that the run was trained on."""
        return self.run.check_data(load(self.run.config.data))

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do."""
        return of(type(self.model))

    def sample(
        self,
        count: int = 64,
        seed: int = 0,
        progress: Progress = SILENT,
        *,
        label: str | None = None,
        plan: SamplingPlan | None = None,
    ) -> Tensor:
        """Return `count` new images; image k of a seed is the same whatever the count.

        label: the class they shall all show, by its name; without it a conditional model draws a class for each image.
        plan: of a model that refines noise step by step, how (see `plan`); without it as its settings say.
        """
        model = require(self.model, Samples, "sampling")
        number = None if label is None else self._class(model, label)
        if count < 1:
            raise UsageError(f"count is {count}, expected at least 1")
        if plan is None and isinstance(model, SamplesIteratively):
            plan = self.plan()
        with inference(self.model):
            return sampled(model, Order(count, seed, number, plan), progress)

    def plan(
        self,
        sampler: str | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ) -> SamplingPlan:
        """Return how a model that refines noise step by step does so: as its settings say, but for what is given.

        The network computes in the arithmetic of the training, or in float32 where this machine would have to emulate it, unless
        another is given; all else is float32.
        """
        model = require(self.model, SamplesIteratively, "a choice of sampler, steps, guidance or precision")
        full = precision == "auto" and self.run.config.train.precision == "float32"
        chosen = precision_of("float32" if full else precision, torch.device("cpu"))
        return changed(model.plan, sampler, steps, guidance_scale, chosen)

    def restore(self, images: Tensor, known: Tensor, seed: int = 0) -> Tensor:
        """Return images [n c h w], filled in where `known`, bool [h w], is false; image k of a seed is always the same."""
        model = require(self.model, Restores, "restoration")
        if known.shape != images.shape[2:] or known.dtype != torch.bool:
            raise UsageError(f"known is {known.dtype} {tuple(known.shape)}, expected bool {tuple(images.shape[2:])}")
        drawn = noise(seed, 0, len(images), model.noise_shape)
        pairs = zip(self._checked(images).split(_AT_ONCE), drawn.split(_AT_ONCE), strict=True)
        with inference(self.model):
            return torch.cat([model.restore(some, known, of_some) for some, of_some in pairs])

    def encode(self, images: Tensor) -> Tensor:
        """Return latents [n d]."""
        model = require(self.model, LatentSpace, "encoding")
        return self._in_pieces(model.encode, self._checked(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images of latents [n d]."""
        model = require(self.model, LatentSpace, "decoding")
        if latents.ndim != 2 or latents.shape[1] != model.latent_dim:
            raise UsageError(f"latents have shape {tuple(latents.shape)}, expected [n {model.latent_dim}]")
        return self._in_pieces(model.decode, latents)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the model's version of images."""
        model = require(self.model, Reconstructs, "reconstruction")
        return self._in_pieces(model.reconstruct, self._checked(images))

    def source_of(self, to: str) -> str:
        """Return the domain whose images `translate` makes into images of the domain `to`; raises UsageError, NotApplicable."""
        return source_of(require(self.model, Translates, "translation"), to)

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Return images of the domain `to` from images [n c h w] of the other domain, each in the shape of its own."""
        model = require(self.model, Translates, "translation")
        images = self._checked(images, self.spec.domain(self.source_of(to)))
        with inference(self.model):
            return translated(model, images, to)

    def interpolate(
        self, start: Tensor, end: Tensor, steps: int = 11, path: Literal["auto", "linear", "spherical"] = "auto"
    ) -> Tensor:
        """Return images [n steps c h w] from images `start` to `end`, both [n c h w], of a model that has codes for images.

        The latents move along a line or an arc; `auto` takes the arc where the prior is Gaussian. The ends are the
        reconstructions of the images.
        """
        prior = require(self.model, LatentSpace, "interpolation").prior
        points = paths.path_for(path, prior)(self.encode(start), self.encode(end), steps).transpose(0, 1)
        return self.decode(points.flatten(0, 1)).unflatten(0, (len(start), steps))

    def interpolate_noise(
        self,
        rows: int = 8,
        steps: int = 11,
        seed: int = 0,
        path: Literal["auto", "linear", "spherical"] = "auto",
        *,
        label: str | None = None,
    ) -> Tensor:
        """Return images [rows steps c h w] of a model that samples: row k goes from image 2k of the seed to image 2k + 1.

        The noise moves along a line or an arc; `auto` takes the arc, since the noise is Gaussian. Throughout a row a conditional
        model shows one class, so that nothing but the noise moves: that of `label`, or in row k class k, and so on in turn.
        """
        model = require(self.model, Samples, "interpolation between noise")
        number = None if label is None else self._class(model, label)
        if rows < 1:
            raise UsageError(f"rows is {rows}, expected at least 1")
        drawn = noise(seed, 0, 2 * rows, model.noise_shape).flatten(1)
        points = paths.path_for(path, "standard normal")(drawn[::2], drawn[1::2], steps).unflatten(2, model.noise_shape)
        columns = [torch.arange(rows) % size if number is None else torch.full((rows,), number) for size in model.label_sizes]
        labels = torch.stack(columns, 1) if len(columns) > 1 else columns[0] if columns else None
        with inference(self.model):
            made = [model.generate(points[step], Condition(labels)) for step in range(steps)]
        return torch.stack(made, 1)

    def traverse(self, image: Tensor, steps: int = 11, reach: float = 3.0) -> Tensor:
        """Return images [d steps c h w]: one row for each latent, moved by +-`reach` of its standard deviations over the data.

        `image` is [c h w]; rows are ordered by how much their latent varies, most first.
        """
        require(self.model, AMORTIZED_LATENT_SPACE, "traversal")
        codes = self.encode(self.dataset.validation.head(1000).images)
        spread, center = codes.std(0, correction=0), codes.mean(0)
        order = spread.argsort(descending=True)
        rows = self.encode(image[None]).repeat(steps * len(order), 1).unflatten(0, (len(order), steps))
        for row, latent in zip(rows, order.tolist(), strict=True):
            row[:, latent] = center[latent] + spread[latent] * torch.linspace(-reach, reach, steps)
        return self.decode(rows.flatten(0, 1)).unflatten(0, (len(order), steps))

    @cached_property
    def digest(self) -> str:
        """Sha256 of the weights that are used, in hex: names, shapes and values."""
        found = sha256()
        for name, tensor in self.model.state_dict().items():
            found.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()

    def evaluate(self, progress: Progress = SILENT, **settings: Any) -> dict[str, Any]:
        """Return the numbers of all test images, or of validation images, as `simulacra evaluate --json` prints them.

        `settings` are those of `simulacra evaluate --help`, by name: split="test", samples=10_000, extractor="lenet", seed=0.
        What was measured before is not measured again. Raises UsageError, DataError.
        """
        from simulacra.evaluation.evaluate import evaluate
        from simulacra.evaluation.settings import evaluation_settings

        return evaluate(self, evaluation_settings(settings), progress)

    def report(self, progress: Progress = SILENT) -> Path:
        """Write `report.html` and return its path."""
        from simulacra.reports.run_page import report

        return report(self, progress)

    def _in_pieces(self, function: Any, inputs: Tensor) -> Tensor:
        with inference(self.model):
            return torch.cat([function(piece) for piece in inputs.split(_AT_ONCE)])

    def _class(self, model: Samples, label: str) -> int:
        if not model.label_sizes:
            name = type(self.model).__name__
            raise NotApplicable(f"a label is not applicable to this {name}: it tells no classes apart (see --conditional)")
        if label not in self.spec.classes:
            raise unknown("class", label, self.spec.classes)
        return self.spec.classes.index(label)

    def _checked(self, images: Tensor, spec: DataSpec | None = None) -> Tensor:
        expected = (spec or self.spec).shape
        if images.ndim != 4 or images.shape[1:] != expected:
            raise UsageError(f"images have shape {tuple(images.shape)}, expected [n {' '.join(map(str, expected))}]")
        return images


def open_run(path: Path | str, dataset: Dataset | None = None, progress: Progress = SILENT) -> OpenedRun:
    """Open a run folder; raises UsageError where it is none, DamagedCheckpoint where it holds no whole checkpoint."""
    return OpenedRun(Run.open(path), dataset, progress)
