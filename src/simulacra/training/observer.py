"""Observers of a training: reports, images from fixed noise and fixed images, validation losses, diversity, warnings."""

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasPosterior, Reconstructs, Restores, Samples, SamplesIteratively, Translates
from simulacra.core.device import model_device
from simulacra.core.eval_mode import eval_mode, inference_mode
from simulacra.core.family import Family, model_condition, named
from simulacra.core.progress import Meter, Progress
from simulacra.core.randomness import noise, stream
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.known_densities import known_density_of
from simulacra.engine import trackers
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.trackers import Tracking, tracking
from simulacra.images.files import save_png
from simulacra.images.grid import grid_of_rows, image_grid, overview_count
from simulacra.metrics.active_units import count_active
from simulacra.runs import settings
from simulacra.runs.image_to_image.translation import source_domain, translate_cycle
from simulacra.runs.label_shares import LabelShares
from simulacra.runs.run import CONFIG, Run
from simulacra.training.diversity import sample_diversity, sample_size
from simulacra.training.monitors import TrainingHistory, training_warnings

_IMAGES, _CHUNK = 1000, 250  # validation images in all, and per batch; fewer if they have many pixels:
_PIXELS, _CHUNK_PIXELS = 1000 * 64**2, 250 * 32**2
_DRAWS = 3  # restorations of each image
_MISSING = 0.5  # grey of missing pixels


class NullObserver(Observer):
    """The observer of all processes but the first: it does nothing."""


class RunObserver(Observer):
    """Writes reports, images and checkpoints into the run folder, and sends them to the progress display and the trackers."""

    def __init__(self, run: Run, dataset: Dataset, progress: Progress, meter: Meter, tracking: Tracking) -> None:
        run.prepare_writing()
        self.run, self.progress, self.meter, self.tracking = run, progress, meter, tracking
        self.validation = _validation_split(dataset)
        self.domains = {name: _validation_split(domain) for name, domain in dataset.domains.items()}
        self.density = known_density_of(dataset)
        self.train = dataset.train
        self._diversity: dict[str, str] = {}  # at the last snapshot, for the progress display
        self._warned: set[str] = set()
        self._seconds_displayed = 0

    def on_step(self, trainer: Trainer) -> None:
        """Advance the progress bar: by a step, or by the elapsed seconds if the duration is a time."""
        if trainer.total is not None:
            self.meter.advance(1)
        elif int(trainer.seconds) > self._seconds_displayed:
            self.meter.advance(int(trainer.seconds) - self._seconds_displayed)
            self._seconds_displayed = int(trainer.seconds)

    def on_report(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Append a record to the reports, and display it."""
        speed = trainer.images / max(trainer.seconds, 1e-9)
        timing = {"seconds": round(trainer.seconds, 3), "images_per_second": round(speed, 1)}
        with self.run.saving():
            self._report("train", {**record, **timing})
        single = len(trainer.players) == 1
        losses = {name.split("/", 1)[1] if single else name: f"{value:.4g}" for name, value in record.items() if "/" in name}
        self.meter.advance(0, images=f"{speed:,.0f}/s", **self._diversity, **losses)

    def on_snapshot(self, trainer: Trainer) -> None:
        """Save images, validate, and measure diversity."""
        family = trainer.evaluated
        with self.run.saving(), stream(trainer.settings.seed, "observe"):
            with inference_mode(family):
                self._save_images(family, trainer)
            with eval_mode(family):
                record = self._validate(family, trainer)
            with inference_mode(family):
                record |= self._sample_diversity(family, trainer)
            self._report("validation", {"step": trainer.step, **record})
        self._warn(trainer)

    def on_checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Store the state in the run folder."""
        with self.run.saving():
            self.run.write_checkpoint(trainer.step, state, trainer.settings.keep)

    def _report(self, kind: str, record: Mapping[str, Any]) -> None:
        self.run.reports.append({"kind": kind, **record})
        self.tracking.scalars(kind, record)

    def _save_images(self, family: Family, trainer: Trainer) -> None:
        count = overview_count(self.run.spec.shape)
        if isinstance(family, Samples):
            drawn = noise(trainer.settings.seed, 0, count, family.noise_shape).to(model_device(family))
            self._save(image_grid(family.generate(drawn).cpu(), 8), self.run.samples, trainer)
        if isinstance(family, Reconstructs):
            originals = self.validation.head(count // 2).to(model_device(family))
            reconstructions = family.reconstruct(originals.images, model_condition(family, originals))
            self._save(grid_of_rows((originals.images.cpu(), reconstructions.cpu()), 8), self.run.reconstructions, trainer)
        if isinstance(family, Restores):
            self._save_restorations(family, trainer)
        if isinstance(family, Translates):
            for to in family.domains:
                self._save_translations(family, to, trainer)

    def _save_restorations(self, family: Restores, trainer: Trainer) -> None:
        """Save degraded images, restorations of each, and the originals, in rows; of a model that derives degraded images."""
        originals = self.validation.head(overview_count(self.run.spec.shape) // 8).to(model_device(trainer.evaluated))
        condition = model_condition(family, originals)
        if condition.image is None or condition.known is None:
            return
        drawn = noise(trainer.settings.seed, 0, _DRAWS * len(originals), family.noise_shape).split(len(originals))
        draws = [family.restore(condition.image, condition.known, part.to(condition.image.device)) for part in drawn]
        missing = (condition.known == 0) & condition.known.flatten(1).any(1)[:, None, None, None]  # else none is removed
        degraded = condition.image.masked_fill(missing, _MISSING)
        rows = [row.cpu() for row in (degraded, *draws, originals.images)]
        self._save(grid_of_rows(rows, 8), self.run.restorations, trainer)

    def _save_translations(self, family: Translates, to: str, trainer: Trainer) -> None:
        """Save images, their translations, and the translations of these back to the first domain, in rows."""
        source = source_domain(family, to)
        images = self.domains[source].head(overview_count(self.run.spec.domain(source).shape) // 4).images
        rows = [row.cpu() for row in translate_cycle(family, images.to(model_device(trainer.evaluated)), to)]
        self._save(grid_of_rows(rows, 8), self.run.translations(to), trainer)

    def _save(self, image: Image, folder: Path, trainer: Trainer) -> None:
        self.tracking.image(trainer.step, save_png(image, folder / f"step_{trainer.step:08d}.png"))

    def _validate(self, family: Family, trainer: Trainer) -> dict[str, float]:
        """Return the losses of every player on validation images, and the number of active latent units."""
        sums: dict[str, float] = {}
        latents: list[Tensor] = []
        images = 0
        for batch in self._batches():
            batch = batch.to(model_device(family))
            images += len(batch)
            for turn in family.turns():
                for name, value in named(turn.losses(batch)).items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(batch)
            if isinstance(family, HasPosterior):
                latents.append(family.posterior(batch.images, model_condition(family, batch)).mean.detach())
        record = {name: total / images for name, total in sums.items()}
        if latents:
            record |= {"active_units": count_active(torch.cat(latents)), "latent_units": latents[0].shape[1]}
        return record

    def _batches(self) -> Iterator[Batch]:
        pixels = max(math.prod(split.images.shape[1:3]) for split in (self.validation, *self.domains.values()))
        size = max(1, min(_CHUNK, _CHUNK_PIXELS // pixels))
        count = -(-min(_IMAGES, _PIXELS // pixels) // size) or 1
        if not self.domains:
            yield from islice(self.validation.chunks(size), count)
            return
        for batches in islice(zip(*(split.chunks(size) for split in self.domains.values()), strict=False), count):
            yield Batch(batches[0].images, batches[0].condition, dict(zip(self.domains, batches, strict=True)))

    def _sample_diversity(self, family: Family, trainer: Trainer) -> dict[str, float]:
        if not isinstance(family, Samples):
            return {}
        each = family.evaluations(family.plan) if isinstance(family, SamplesIteratively) else 1
        real = self.validation.head(sample_size(self.run.spec.dimensions, each)).images
        shares = LabelShares(self.train, family.label_sizes)
        found = sample_diversity(family, real, self.density, trainer.settings.seed, shares)
        self._diversity = {"diversity": f"{found['diversity']:.2f}"} if "diversity" in found else {}
        return found

    def _warn(self, trainer: Trainer) -> None:
        for warning in training_warnings(TrainingHistory.of(self.run, trainer.done)):
            if warning.name not in self._warned:
                self._warned.add(warning.name)
                self.progress.message(f"warning: {warning.message}")


def open_trackers(run: Run, trainer: Trainer, progress: Progress) -> AbstractContextManager[Tracking]:
    """Open the trackers that the settings name, at the step of the trainer; in the first process only."""
    chosen = trackers.chosen(trainer.settings.track) if trainer.processes.first else ()
    flat = settings.read(run.path / CONFIG).flat() if chosen else {}
    return tracking(chosen, flat, run.path, trainer.step, progress)


def _validation_split(dataset: Dataset) -> Split:
    return dataset.validation if len(dataset.validation) else dataset.train
