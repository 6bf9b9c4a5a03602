"""Generate images from noise.

The suffix of --out determines the form: .png is one grid; .npz holds the arrays `images` (uint8, n x h x w x c) and, of a
conditional model, `labels` and `label_names`, or `captions`; anything else is a new folder of PNG files, whose names hold the
number and the label. Files are written as images are generated. Image k of a seed does not depend on --count.

Without --label, a conditional model draws every class equally often, whatever their shares in the data; `evaluate` draws classes
in the shares of the training images where it measures fidelity.

--grid classes draws the classes of a conditional model in rows, or the values of its first attribute, and one style in each
column: the same noise for every class. --count images are divided among the classes.

A model of captions takes --caption: words of the captions that it was trained on, or several captions separated by semicolons.
Each then gives --count images, one row of the grid; a column has the same noise. Without --caption its images are unconditional.

Diffusion and flow models take --sampler, --steps, --guidance-scale and --precision; the defaults are those of the run's settings.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Samples, SamplesIteratively, SamplingPlan
from simulacra.core.config import Config, option
from simulacra.core.errors import SimulacraError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import noise
from simulacra.engine.distributed.shared_work import sharing_processes
from simulacra.images.files import check_grid, check_images_path, save_png
from simulacra.images.grid import image_grid, overview_count
from simulacra.images.samples import Arrays, images_writer
from simulacra.images.section import Figure, ReportSection, columns_for, overview_grid
from simulacra.runs.generation import PLAN_SETTINGS, plan_facts
from simulacra.runs.opened import OpenedRun, label_names, sharing_run
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.sampling import SampledImages, captions_of, sample, sample_chunks, sample_classes
from simulacra.runs.test_images import overview_images

_STATES, _ROWS = 11, 4  # columns and rows of the intermediate states of an iterative sampler
_GUIDANCE = "classifier-free guidance scale (Ho & Salimans 2022); 1 disables guidance; -1 takes that of the run"


@dataclass(frozen=True)
class SampleConfig(Config):
    """Settings of sampling."""

    count: int = option(64, "number of images", low=1)
    seed: int = option(0, "seed of the noise", low=0)
    label: str = option("", "label of all images: a class, or attribute=value,...; without it every label is drawn equally often")
    grid: Literal["samples", "classes"] = option("samples", "samples in reading order, or classes in rows and styles in columns")
    caption: str = option("", "caption of all images, or several separated by ';': each gives --count images, one row of a grid")
    sampler: str = option("", "sampler: dpmpp-2m, ddim, heun, euler or ancestral (diffusers: scheduler)")
    steps: int = option(0, "number of sampling steps (diffusers: num_inference_steps); 0 takes that of the run", low=0)
    guidance_scale: float = option(-1.0, _GUIDANCE, low=-1)
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "arithmetic of the network; auto takes that of the training"
    )
    out: str = option("", f"a .png or .npz file, or a folder (default: samples.png {IN_IMAGES})")


def _class_grid(opened: OpenedRun, settings: SampleConfig, progress: Progress, plan: SamplingPlan | None) -> ApplicationResult:
    """Save classes in rows and styles in columns."""
    classes = (opened.model.label_sizes or (1,))[0]
    styles = max(1, settings.count // classes)
    path, processes = output_path(opened.run, settings, "classes", ".png", ("grid",)), sharing_processes()
    processes.lead(lambda: check_grid(path, classes * styles, opened.spec.shape))
    images = sample_classes(opened, styles, settings.seed, progress, label=settings.label or None, plan=plan)
    processes.lead(lambda: save_png(image_grid(images.flatten(0, 1), styles), path))
    content = {
        "path": str(path),
        "classes": len(images),
        "styles": styles,
        "seed": settings.seed,
        "label": settings.label or None,
    }
    content |= {} if plan is None else plan_facts(plan)
    return ApplicationResult(content, f"{len(images)} classes in rows, {styles} styles in columns, in {path}")


def _run(opened: OpenedRun, settings: SampleConfig, progress: Progress) -> ApplicationResult:
    plan = None
    if isinstance(opened.model, SamplesIteratively):
        guidance = None if settings.guidance_scale < 0 else settings.guidance_scale
        plan = opened.plan(settings.sampler or None, settings.steps or None, guidance, settings.precision)
    write = _class_grid if settings.grid == "classes" else _samples
    with sharing_run(opened) as processes:
        return write(opened, settings, progress if processes.first else SILENT, plan)


def _samples(opened: OpenedRun, settings: SampleConfig, progress: Progress, plan: SamplingPlan | None) -> ApplicationResult:
    """Write images as they are generated, with their labels or captions."""
    label, caption = settings.label or None, settings.caption or None
    total = settings.count * (len(captions_of(caption)) if caption else 1)
    path, processes = output_path(opened.run, settings, "samples", ".png"), sharing_processes()
    processes.lead(lambda: check_images_path(path, total, opened.spec.shape))
    chunks = sample_chunks(opened, settings.count, settings.seed, progress, label=label, caption=caption, plan=plan)
    columns = settings.count if total > settings.count else 0  # one row for each caption
    names = list[str]()
    with images_writer(path, total, columns) if processes.first else nullcontext(_write_nothing) as write:
        for part in chunks:
            own, arrays = _described(opened, part)
            write(part.images, arrays, own)
            names += own
    content = {"path": str(path), "count": total, "seed": settings.seed, "label": label}
    content |= {"captions" if caption else "labels": names} if names else {}
    content |= {} if plan is None else plan_facts(plan)
    return ApplicationResult(content, f"{total:,} images in {path}")


def _write_nothing(images: Tensor, arrays: Arrays, names: Sequence[str]) -> None:
    """Write nothing: the first process writes the images of all."""


def _described(opened: OpenedRun, part: SampledImages) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the label or caption of each image, empty without one, and the same as arrays of an .npz file."""
    if part.caption:
        names = [part.caption] * len(part.images)
        return names, {"captions": np.array(names)}
    if part.labels is None:
        return [], {}
    names = label_names(part.labels, opened.spec)
    return names, {"labels": part.labels.numpy(), "label_names": np.array(names)}


def _section(opened: OpenedRun) -> ReportSection:
    spec = opened.spec
    try:
        real = overview_images(opened, overview_count(spec.shape)).images
    except SimulacraError:  # the page reports it; samples need no data
        real = None
    count, columns = overview_grid(spec.shape, overview_count(spec.shape) if real is None else len(real))
    generated = Figure(image_grid(sample(opened, count), columns), "Images generated from noise", "Generated images")
    if real is None:
        return ReportSection("Generated images", 10, ("The first images of seed 0; none is selected.",), ((generated,),))
    text = [
        "The first images of the test set, and the first images of seed 0; none is selected. Compare fidelity (is a single "
        "generated image realistic?) and diversity (do all kinds of real images occur"
        f"{'?). Generated images have all classes equally often.' if opened.model.label_sizes else ', in the same shares?).'}"
    ]
    original = Figure(image_grid(real[:count], columns), "Real images of the test set", "Real images: test set")
    rows: list[tuple[Figure, ...]] = [(original, generated)]
    if isinstance(opened.model, SamplesIteratively):
        rows += _process(opened, opened.model, real[:1])
        text.append(
            "Below them: a test image with increasing noise, and the reverse process from noise (left) to images (right). "
            "Noise that remains on the right indicates too few sampling steps, or too short a training."
        )
    return ReportSection("Real and generated images", 10, tuple(text), tuple(rows))


def _process(opened: OpenedRun, model: SamplesIteratively, images: Tensor) -> list[tuple[Figure, ...]]:
    """Return the forward process of one image and the reverse process of several, one row each."""
    states = columns_for(opened.spec.shape, _STATES)
    drawn = noise(0, 0, _ROWS, model.noise_shape).to(opened.device)
    with inference_mode(opened.model):
        forward = model.forward_process(images.to(opened.device), drawn[:1], states).transpose(0, 1).flatten(0, 1)
        reverse = model.reverse_process(drawn, states).transpose(0, 1).flatten(0, 1)
    alts = "A test image with increasing noise", f"{_ROWS} reverse processes, one in each row"
    return [
        (Figure(image_grid(forward, states), alts[0], "Forward process: from image to noise"),),
        (Figure(image_grid(reverse, states), alts[1], "Reverse process: from noise to image"),),
    ]


APPLICATION = Application(
    name="sample",
    description=__doc__,
    settings=SampleConfig,
    needs=(Samples,),
    run=_run,
    examples=(
        "simulacra sample runs/first",
        "simulacra sample runs/first --count 1000 --seed 7 --out samples.npz",
        "simulacra sample runs/first --count 100 --out samples/",
        "simulacra sample runs/conditional --label 7",
        "simulacra sample runs/conditional --grid classes --count 100",
        "simulacra sample runs/captioned --caption 'a red seven; a blue seven' --count 8",
        "simulacra sample runs/diffusion --sampler ddim --steps 50",
        "simulacra sample runs/diffusion --label 7 --guidance-scale 2",
    ),
    setting_needs={
        **dict.fromkeys(("label", "grid"), ("labels",)),
        "caption": ("tokens",),
        **dict.fromkeys(PLAN_SETTINGS, (SamplesIteratively,)),
    },
    section=_section,
    following=("evaluate {run}", "report {run}"),
)
