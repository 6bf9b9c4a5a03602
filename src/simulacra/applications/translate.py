"""Translate images from one domain of a model to the other, as a CycleGAN does.

--input names an image file, a folder or an archive: each image becomes a PNG file with the name of its original. Images are
fitted to the size that the model was trained on. Without --input, test images are displayed above their translations and above
the translations of these back to the source domain.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import torch

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Translates, require
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.home import expand_home
from simulacra.core.progress import Meter, Progress
from simulacra.data.dataset import to_floats
from simulacra.data.formats.fitting import fitted
from simulacra.data.formats.refused import Refused
from simulacra.data.layout.folders import parts
from simulacra.data.load import no_images, reading
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.data.source import Pixels, Reading, Skip
from simulacra.data.sources.folder import is_picture
from simulacra.images.files import check_new_folder, check_png, save_image, save_png
from simulacra.images.grid import grid_of_rows
from simulacra.images.section import Figure, ReportSection, columns_for, largest_shape
from simulacra.runs.image_to_image.translation import batch_size, cycle, source_of, title_of, translate
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.test_images import choose_images, overview_images

_COUNT, _COLUMNS = 16, 8  # test images by default, and columns of their grid


@dataclass(frozen=True)
class TranslateConfig(Config):
    """Settings of a translation."""

    to: str = option("", "the domain to translate to: the name of its folder, or a or b; required")
    input: str = option("", "images of the other domain: a file, folder or archive")
    count: int = option(0, f"number of images at most; 0: all, or {_COUNT} test images", low=0)
    seed: int = option(0, "seed that chooses the test images", low=0)
    out: str = option("", f"a folder, or a .png file (default: to_B.png or INPUT_to_B {IN_IMAGES})")


def _translate_files(opened: OpenedRun, settings: TranslateConfig, progress: Progress) -> ApplicationResult:
    """Translate the images of an image file, folder, archive or array file to PNG files.

    A single image becomes one PNG file, anything else a folder of PNG files with the names of the originals. Raises UsageError
    where the output exists, DataError where there is no image to read.
    """
    spec = opened.spec.domain(source_of(opened, settings.to))
    path = expand_home(settings.input)
    single, to = is_picture(path), title_of(opened, settings.to)
    name, suffix, stated = ("", ".png", ("to",)) if single else (f"{path.resolve().name}_", "", ("to", "input"))
    out = output_path(opened.run, settings, f"{name}to_{to}", suffix, stated)
    if not single and out.suffix.lower() == ".png":
        raise UsageError(f"{out} is a single image, and the input may hold several: give a folder")
    check_png(out) if single else check_new_folder(out)
    taken, skips = set[Path](), list[Skip]()
    with reading(path, spec) as found:
        total = min(settings.count or found.count, found.count)
        with progress.task("translating", total, "images") as meter:
            for batch in _batches(found, spec, total, skips, meter):
                images = to_floats(torch.from_numpy(np.stack([pixels for _, pixels in batch])))
                for (name, _), image in zip(batch, translate(opened, images, settings.to), strict=True):
                    file = _new_name(name, taken)
                    taken.add(file)
                    save_image(image, out if single else out / file)
                meter.advance(len(batch))
        unused = found.count - len(taken) - len(skips)
    if not taken:
        raise no_images(path, skips)
    content = {"path": str(out), "to": to, "count": len(taken), "skipped": skipped_facts(skips), "unused": unused}
    text = f"{len(taken):,} images translated to {to}, in {out}{skipped_text(skips, unused)}"
    return ApplicationResult(content, text)


def _new_name(original: str, taken: Collection[Path]) -> Path:
    """Return the PNG file of a translation; names that differ only in their suffix keep it, equal names are numbered from 3."""
    inside = Path(*(part for part in parts(original) if part != ".."))
    numbered = (inside.with_name(f"{inside.name}-{number}.png") for number in count(3))
    names = chain((inside.with_suffix(".png"), inside.with_name(f"{inside.name}.png")), numbered)
    return next(name for name in names if name not in taken)


def _batches(found: Reading, spec: DataSpec, total: int, skips: list[Skip], meter: Meter) -> Iterator[list[tuple[str, Pixels]]]:
    """Yield batches of named images that are fitted to a shape, at most `total` images; appends the reasons of skipped files."""

    def usable() -> Iterator[tuple[str, Pixels]]:
        for item in found.items:
            try:
                pixels = fitted(item, (spec.height, spec.width), spec.channels, spec.fit).pixels
            except Refused as refusal:
                skips.append(Skip(item.name, str(refusal)))
                meter.advance()
            else:
                yield item.name, pixels

    images = islice(usable(), total)
    while batch := list(islice(images, batch_size(spec.height, spec.width))):
        yield batch


def _run(opened: OpenedRun, settings: TranslateConfig, progress: Progress) -> ApplicationResult:
    if not settings.to:
        titles = [opened.spec.domain_title(name) for name in require(opened.model, Translates, "translation").domains]
        raise UsageError(f"no --to: name the domain to translate to, {' or '.join(f'--to {title}' for title in titles)}")
    if settings.input:
        return _translate_files(opened, settings, progress)
    source, to = source_of(opened, settings.to), title_of(opened, settings.to)
    path = check_png(output_path(opened.run, settings, f"to_{to}", ".png", ("to",)))
    images = choose_images(opened.dataset[source].test, settings.count, settings.seed, _COUNT).images
    rows = cycle(opened, images, settings.to)
    save_png(grid_of_rows(rows, _COLUMNS), path)
    error = float(((rows[2] - rows[0]) ** 2).mean())
    content = {"path": str(path), "to": to, "count": len(images), "cycle_mse": error}
    text = f"{len(images)} test images, each above its translation to {to} and the translation back, in {path}"
    return ApplicationResult(content, f"{text} (mse of the cycle {error:.4g})")


def _section(opened: OpenedRun) -> ReportSection:
    model = require(opened.model, Translates, "translation")
    rows, largest = [], largest_shape(opened.spec)
    for to in reversed(model.domains):  # translations of the first domain come first
        source = source_of(opened, to)
        images = overview_images(opened, columns_for(largest, _COUNT), source).images
        start, end = title_of(opened, source), title_of(opened, to)
        alt = f"Test images of {start}, their translations to {end}, and the translations of these back to {start}"
        rows.append((Figure(grid_of_rows(cycle(opened, images, to), len(images)), alt, f"{start} → {end} → {start}"),))
    text = (
        "Top: images of the test set. Middle: their translations. Bottom: the translations of these back to the source domain. "
        "Translations should look like images of the other domain and keep the common content. Originals restored although "
        "their translation does not contain the information indicate a hidden encoding in high frequencies."
    )
    return ReportSection("Translations and cycles", 15, (text,), tuple(rows))


APPLICATION = Application(
    name="translate",
    description=__doc__,
    settings=TranslateConfig,
    needs=(Translates,),
    run=_run,
    examples=(
        "simulacra translate runs/seasons --to winter",
        "simulacra translate runs/seasons --to winter --input summer/ --out winter/",
        "simulacra translate runs/seasons --to summer --input snow.jpg --out grass.png",
    ),
    section=_section,
)
