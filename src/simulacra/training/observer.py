"""Observes a training: snapshots from fixed noise and fixed images, validation losses, diversity, warnings."""

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasPosterior, Reconstructs, Samples, SamplesIteratively, Translates
from simulacra.core.eval_mode import evaluation, inference
from simulacra.core.family import Family, model_condition, named
from simulacra.core.progress import Meter, Progress
from simulacra.core.randomness import noise, stream
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.known_densities import law_of
from simulacra.engine import trackers
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.loop import Trainer
from simulacra.engine.tracking import Tracking, tracking
from simulacra.images.files import save_png
from simulacra.images.grid import grid_of_rows, image_grid, overview_count
from simulacra.metrics.active_units import count_active
from simulacra.runs import settings
from simulacra.runs.run import CONFIG, Run
from simulacra.runs.translation import source_domain, translate_cycle
from simulacra.training import sample_diversity as variety
from simulacra.training.monitors import TrainingHistory, training_warnings

_LOOKED_AT, _CHUNK = 1000, 250  # validation images that are looked at while training, and at once; fewer where they are large:
_PIXELS, _CHUNK_PIXELS = 1000 * 64**2, 250 * 32**2


class NullObserver:
    """Watches in the processes that neither write nor tell."""

    def stepped(self, trainer: Trainer) -> None:
        """Do nothing."""

    def reported(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Do nothing."""

    def due(self, trainer: Trainer) -> None:
        """Do nothing."""

    def checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Do nothing."""


class RunObserver:
    """Writes what training shows into the run folder, tells the user, and hands it on to the trackers."""

    def __init__(self, run: Run, dataset: Dataset, progress: Progress, meter: Meter, followers: Tracking) -> None:
        run.prepare_writing()
        self.run, self.progress, self.meter, self.followers = run, progress, meter, followers
        self.watched = _watched(dataset)
        self.domains = {name: _watched(domain) for name, domain in dataset.domains.items()}
        self.law = law_of(dataset)
        self.varied: dict[str, str] = {}  # as the last look found it
        self.warned: set[str] = set()
        self.seconds_shown = 0

    def stepped(self, trainer: Trainer) -> None:
        """Move the progress bar: by a step, or by the seconds that have passed where training is for a time."""
        if trainer.total is not None:
            self.meter.advance(1)
        elif int(trainer.seconds) > self.seconds_shown:
            self.meter.advance(int(trainer.seconds) - self.seconds_shown)
            self.seconds_shown = int(trainer.seconds)

    def reported(self, trainer: Trainer, record: Mapping[str, Any]) -> None:
        """Add a line to the reports, and show it."""
        speed = trainer.images / max(trainer.seconds, 1e-9)
        timing = {"seconds": round(trainer.seconds, 3), "images_per_second": round(speed, 1)}
        with self.run.saving():
            self._report("train", {**record, **timing})
        alone = len(trainer.players) == 1
        losses = {name.split("/", 1)[1] if alone else name: f"{value:.4g}" for name, value in record.items() if "/" in name}
        self.meter.advance(0, images=f"{speed:,.0f}/s", **self.varied, **losses)

    def due(self, trainer: Trainer) -> None:
        """Save pictures and validate."""
        family = trainer.evaluated
        with self.run.saving(), stream(trainer.settings.seed, "observe"):
            with inference(family):
                self._save_pictures(family, trainer)
            with evaluation(family):
                record = self._validate(family, trainer)
            with inference(family):
                record |= self._variety(family, trainer)
            self._report("validation", {"step": trainer.step, **record})
        self._warn(trainer)

    def checkpoint(self, trainer: Trainer, state: Checkpoint) -> None:
        """Store the state in the run folder."""
        with self.run.saving():
            self.run.write_checkpoint(trainer.step, state, trainer.settings.keep)

    def _report(self, kind: str, record: Mapping[str, Any]) -> None:
        self.run.reports.append({"kind": kind, **record})
        self.followers.scalars(kind, record)

    def _save_pictures(self, family: Family, trainer: Trainer) -> None:
        name, shown = f"step_{trainer.step:08d}.png", overview_count(self.run.spec.shape)
        if isinstance(family, Samples):
            drawn = noise(trainer.settings.seed, 0, shown, family.noise_shape).to(_device(family))
            path = save_png(image_grid(family.generate(drawn), 8), self.run.samples / name)
            self.followers.picture(trainer.step, path)
        if isinstance(family, Reconstructs):
            originals = self.watched.head(shown // 2).images.to(_device(family))
            pairs = grid_of_rows((originals, family.reconstruct(originals)), 8)
            path = save_png(pairs, self.run.reconstructions / name)
            self.followers.picture(trainer.step, path)
        if isinstance(family, Translates):
            for to in family.domains:
                self._save_journey(family, to, trainer)

    def _save_journey(self, family: Translates, to: str, trainer: Trainer) -> None:
        """Save images, their translations, and what these are translated back to, row above row."""
        source = source_domain(family, to)
        images = self.domains[source].head(overview_count(self.run.spec.domain(source).shape) // 4).images
        rows = translate_cycle(family, images.to(_device(trainer.evaluated)), to)
        path = save_png(grid_of_rows(rows, 8), self.run.translations(to) / f"step_{trainer.step:08d}.png")
        self.followers.picture(trainer.step, path)

    def _validate(self, family: Family, trainer: Trainer) -> dict[str, float]:
        """Return the losses of every player on validation images, with the weights that are evaluated."""
        sums: dict[str, float] = {}
        codes: list[Tensor] = []
        images = 0
        for batch in self._batches():
            batch = batch.to(_device(family))
            images += len(batch)
            for turn in family.turns():
                for name, value in named(turn.losses(batch)).items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(batch)
            if isinstance(family, HasPosterior):
                codes.append(family.posterior(batch.images, model_condition(family, batch)).mean.detach())
        record = {name: total / images for name, total in sums.items()}
        if codes:
            record |= {"active_units": count_active(torch.cat(codes)), "latent_units": codes[0].shape[1]}
        return record

    def _batches(self) -> Iterator[Batch]:
        """Yield images that are held out for validation, of all domains side by side where there are several."""
        pixels = max(math.prod(split.images.shape[1:3]) for split in (self.watched, *self.domains.values()))
        size = max(1, min(_CHUNK, _CHUNK_PIXELS // pixels))
        count = -(-min(_LOOKED_AT, _PIXELS // pixels) // size) or 1
        if not self.domains:
            yield from islice(self.watched.chunks(size), count)
            return
        for batches in islice(zip(*(split.chunks(size) for split in self.domains.values()), strict=False), count):
            yield Batch(batches[0].images, batches[0].condition, dict(zip(self.domains, batches, strict=True)))

    def _variety(self, family: Family, trainer: Trainer) -> dict[str, float]:
        """Return how varied generated images are, against validation images."""
        if not isinstance(family, Samples):
            return {}
        each = family.evaluations(family.plan) if isinstance(family, SamplesIteratively) else 1
        real = self.watched.head(variety.enough(self.run.spec.dimensions, each)).images.to(_device(family))
        found = variety.varied(family, real, self.law, trainer.settings.seed)
        self.varied = {"diversity": f"{found['diversity']:.2f}"} if "diversity" in found else {}
        return found

    def _warn(self, trainer: Trainer) -> None:
        """Say what goes wrong, each kind of trouble once."""
        for trouble in training_warnings(TrainingHistory.of(self.run, trainer.done)):
            if trouble.name not in self.warned:
                self.warned.add(trouble.name)
                self.progress.message(f"warning: {trouble.message}")


def tracked(run: Run, trainer: Trainer, progress: Progress) -> AbstractContextManager[Tracking]:
    """Open the trackers that the settings name, from the step at which the trainer stands; in the first process alone."""
    chosen = trackers.chosen(trainer.settings.track) if trainer.processes.first else ()
    flat = settings.read(run.path / CONFIG).flat() if chosen else {}
    return tracking(chosen, flat, run.path, trainer.step, progress)


def _watched(dataset: Dataset) -> Split:
    return dataset.validation if len(dataset.validation) else dataset.train


def _device(family: Family) -> torch.device:
    return next(family.parameters()).device
