"""Snapshots of a training: images from fixed noise and of fixed images, validation losses, diversity."""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasPosterior, Reconstructs, Restores, Samples, SamplesIteratively, Translates
from simulacra.core.device import model_device
from simulacra.core.eval_mode import eval_mode, inference_mode
from simulacra.core.family import Family, model_condition, named
from simulacra.core.randomness import noise, stream
from simulacra.data.dataset import Dataset, Split
from simulacra.data.synthetic.known_densities import known_density_of
from simulacra.engine.loop import Trainer
from simulacra.engine.trackers import Tracking
from simulacra.images.files import save_png
from simulacra.images.grid import grid_of_rows, image_grid, overview_count
from simulacra.metrics.active_units import count_active
from simulacra.runs.image_to_image.translation import source_domain, translate_cycle
from simulacra.runs.label_shares import LabelShares
from simulacra.runs.run import Run
from simulacra.training.diversity import sample_diversity, sample_size
from simulacra.training.snapshot_size import SnapshotSize

_IMAGES, _CHUNK = 1000, 250  # validation images in all, and per batch; fewer if they have many pixels:
_PIXELS, _CHUNK_PIXELS = 1000 * 64**2, 250 * 32**2
_DRAWS = 3  # restorations of each image
_MISSING = 0.5  # grey of missing pixels
_COLUMNS = 8  # of a grid of images
_PROBED = (1, 4, 4)  # images whose validation loss measures the cost of a network evaluation


class Snapshots:
    """Takes the snapshots of a run, of a trainer's evaluated model, and writes their images into the run folder."""

    def __init__(self, run: Run, dataset: Dataset, tracking: Tracking) -> None:
        self.run, self.tracking = run, tracking
        self.validation = _validation_split(dataset)
        self.domains = {name: _validation_split(domain) for name, domain in dataset.domains.items()}
        self.density = known_density_of(dataset)
        self.train = dataset.train

    def full_size(self, family: Family) -> SnapshotSize:
        """Return the size of a snapshot without a limit of time."""
        spec = self.run.spec
        compared = sample_size(spec.dimensions, self.sampling(family)) if isinstance(family, Samples) else 0
        pixels = self._pixels()
        fewest = min(len(split) for split in (self.validation, *self.domains.values()))
        return SnapshotSize(overview_count(spec.shape), min(_IMAGES, max(1, _PIXELS // pixels), fewest), compared)

    def sampling(self, family: Family) -> int:
        """Return the number of network evaluations of a generated image; 0 if the family generates none."""
        if isinstance(family, SamplesIteratively):
            return family.evaluations(family.plan)
        return int(isinstance(family, Samples))

    def seconds_per_image(self, trainer: Trainer, enough: float) -> float:
        """Return the seconds of the validation loss of one image, which is at least one network evaluation.

        Of few images, and of more, which are faster, if the first ones took less than `enough` seconds.
        """
        seconds = math.inf
        with stream(trainer.settings.seed, "probe"), eval_mode(trainer.evaluated):
            for count in _PROBED:
                batch = next(self._batches(count, count)).to(model_device(trainer.evaluated))
                began = trainer.time.clock()
                for turn in trainer.evaluated.turns():
                    sum(value.item() for value in named(turn.losses(batch)).values())
                took = trainer.time.clock() - began
                seconds = min(seconds, took / len(batch))
                if took > enough:
                    break
        return seconds

    def take(self, trainer: Trainer, size: SnapshotSize) -> dict[str, float]:
        """Save images, and return validation losses, the number of active latent units, and diversity."""
        family = trainer.evaluated
        with stream(trainer.settings.seed, "observe"):
            with inference_mode(family):
                if size.pictures:
                    self._save_images(family, trainer, size.pictures)
            with eval_mode(family):
                record = self._validate(family, size.validation)
            with inference_mode(family):
                return record | self._sample_diversity(family, trainer, size)

    def _save_images(self, family: Family, trainer: Trainer, count: int) -> None:
        if isinstance(family, Samples):
            drawn = noise(trainer.settings.seed, 0, count, family.noise_shape).to(model_device(family))
            self._save(image_grid(family.generate(drawn).cpu(), min(_COLUMNS, count)), self.run.samples, trainer)
        if isinstance(family, Reconstructs):
            originals = self.validation.head(max(1, count // 2)).to(model_device(family))
            reconstructions = family.reconstruct(originals.images, model_condition(family, originals))
            self._save_rows((originals.images, reconstructions), self.run.reconstructions, trainer)
        if isinstance(family, Restores):
            self._save_restorations(family, trainer, max(1, count // 8))
        if isinstance(family, Translates):
            for to in family.domains:
                self._save_translations(family, to, trainer, max(1, count // 4))

    def _save_restorations(self, family: Restores, trainer: Trainer, count: int) -> None:
        """Save degraded images, restorations of each, and the originals, in rows; of a model that derives degraded images."""
        originals = self.validation.head(count).to(model_device(trainer.evaluated))
        condition = model_condition(family, originals)
        if condition.image is None or condition.known is None:
            return
        drawn = noise(trainer.settings.seed, 0, _DRAWS * len(originals), family.noise_shape).split(len(originals))
        draws = [family.restore(condition.image, condition.known, part.to(condition.image.device)) for part in drawn]
        missing = (condition.known == 0) & condition.known.flatten(1).any(1)[:, None, None, None]  # else none is removed
        degraded = condition.image.masked_fill(missing, _MISSING)
        self._save_rows((degraded, *draws, originals.images), self.run.restorations, trainer)

    def _save_translations(self, family: Translates, to: str, trainer: Trainer, count: int) -> None:
        """Save images, their translations, and the translations of these back to the first domain, in rows."""
        images = self.domains[source_domain(family, to)].head(count).images
        rows = translate_cycle(family, images.to(model_device(trainer.evaluated)), to)
        self._save_rows(tuple(rows), self.run.translations(to), trainer)

    def _save_rows(self, rows: tuple[Tensor, ...], folder: Path, trainer: Trainer) -> None:
        self._save(grid_of_rows([row.cpu() for row in rows], min(_COLUMNS, len(rows[0]))), folder, trainer)

    def _save(self, image: Image, folder: Path, trainer: Trainer) -> None:
        self.tracking.image(trainer.step, save_png(image, folder / f"step_{trainer.step:08d}.png"))

    def _validate(self, family: Family, count: int) -> dict[str, float]:
        """Return the losses of every player on about `count` validation images, and the number of active latent units."""
        sums: dict[str, float] = {}
        latents: list[Tensor] = []
        images = 0
        for batch in self._batches(count, max(1, min(_CHUNK, _CHUNK_PIXELS // self._pixels()))):
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

    def _pixels(self) -> int:
        """Return the number of pixels of an image, of the largest domain."""
        return max(math.prod(split.images.shape[1:3]) for split in (self.validation, *self.domains.values()))

    def _batches(self, count: int, size: int) -> Iterator[Batch]:
        """Yield validation images in batches of `size`, at least `count` in all if there are so many."""
        size = min(size, count)
        batches = -(-count // size) or 1
        if not self.domains:
            yield from islice(self.validation.chunks(size), batches)
            return
        for parts in islice(zip(*(split.chunks(size) for split in self.domains.values()), strict=False), batches):
            yield Batch(parts[0].images, parts[0].condition, dict(zip(self.domains, parts, strict=True)))

    def _sample_diversity(self, family: Family, trainer: Trainer, size: SnapshotSize) -> dict[str, float]:
        if not isinstance(family, Samples) or not size.compared:
            return {}
        real = self.validation.head(size.compared).images
        density = self.density if size == self.full_size(family) else None  # modes are counted with thousands of points
        shares = LabelShares(self.train, family.label_sizes)
        return sample_diversity(family, real, density, trainer.settings.seed, shares)


def _validation_split(dataset: Dataset) -> Split:
    return dataset.validation if len(dataset.validation) else dataset.train
