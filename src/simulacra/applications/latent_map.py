"""Map the latents of test images to the plane: a picture and an interactive page; --walk decodes a plane of latents.

The maps are t-SNE and PCA, or the latents themselves where there are at most two. Beside each map stand its trustworthiness and
the nearest-neighbour accuracy in the map and in the latents: a map with a lower one hides what the latents hold.

Colours show the class (--color class), the reconstruction error (score), an attribute of the data (such as hue), or a column of
a CSV file with the numbers of test images in its column `index` (FILE.csv:COLUMN).
"""

from dataclasses import dataclass
from typing import Literal

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.files import write_json, write_text
from simulacra.core.progress import Progress
from simulacra.images.files import check_grid, check_html, check_png, make_folder, save_png
from simulacra.images.grid import image_grid
from simulacra.images.section import Figure, ReportSection
from simulacra.maps.coloring import check_color, coloring
from simulacra.maps.latent_map import POINTS, latent_map
from simulacra.maps.page import map_page
from simulacra.maps.projection import NAMES, PERPLEXITY, Method
from simulacra.maps.scatter import maps_picture
from simulacra.maps.stored_map import MAP, stored_points, stored_tsne
from simulacra.maps.walk import walk
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path
from simulacra.runs.test_images import overview_images

_REPORT_POINTS, _REPORT_SIDE = 1000, 400  # points of the map in the report, and pixels of it
_WALK = "latent_walk"
_ONLY_MAP, _ONLY_WALK = ("method", "color", "points", "perplexity", "seed"), ("steps", "label")


@dataclass(frozen=True)
class LatentMapConfig(Config):
    """Settings of a latent map."""

    method: Literal["auto", "tsne", "pca", "latents", "pacmap"] = option("auto", "the map; auto: t-SNE and PCA, or two latents")
    color: str = option("", "class, score, an attribute, none, or FILE.csv:COLUMN (default: class where there are classes)")
    points: int = option(0, f"number of test images; 0: {POINTS:,}, or all where there are fewer", low=0)
    perplexity: float = option(
        0.0, f"t-SNE: effective number of neighbours of a point; 0: {PERPLEXITY:g}, or fewer of few", low=0
    )
    seed: int = option(0, "seed that chooses the images, and of t-SNE", low=0)
    walk: bool = option(False, "decode a grid of latents instead of mapping images")
    steps: int = option(20, "--walk: number of images in a row", low=2, high=100)
    label: str = option("", "--walk: label of all images of a conditional model (default: the first class)")
    out: str = option("", f"a .html file, with --walk a .png file (default: {MAP}.html or {_WALK}.png {IN_IMAGES})")

    def validate(self) -> None:
        """Raise UsageError for settings of the walk without it, and of the map with it."""
        defaults = {name: item.default for name, item in type(self).__dataclass_fields__.items()}
        for name in _ONLY_MAP if self.walk else _ONLY_WALK:
            if getattr(self, name) != defaults[name]:
                raise UsageError(f"--{name} does not apply {'with' if self.walk else 'without'} --walk: leave it out")


def _run(opened: OpenedRun, settings: LatentMapConfig, progress: Progress) -> ApplicationResult:
    return _walk(opened, settings) if settings.walk else _map(opened, settings, progress)


def _map(opened: OpenedRun, settings: LatentMapConfig, progress: Progress) -> ApplicationResult:
    page = check_html(output_path(opened.run, settings, MAP, ".html"))
    picture, table = check_png(page.with_suffix(".png")), page.with_suffix(".json")
    check_color(settings.color)
    methods: tuple[Method, ...] = () if settings.method == "auto" else (settings.method,)
    amounts = settings.points, settings.seed
    found = latent_map(opened, methods, *amounts, perplexity=settings.perplexity, progress=progress)
    split = opened.dataset.test
    colours = coloring(opened, split, found.indices, settings.color)
    images = split.batch(found.indices).images
    make_folder(page.parent)
    save_png(maps_picture(found, colours, 640), picture)
    write_text(page, map_page(opened.run.path.name, found, colours, images, opened.dataset.spec.classes))
    facts = {"seed": settings.seed, "color": colours.title, **found.table()}
    write_json(table, {"weights": opened.digest, **facts, "points_of_maps": stored_points(found)})
    content = {"path": str(page), "picture": str(picture), "table": str(table), **facts}
    return ApplicationResult(content, f"{found.summary()}\nmap in {page} and {picture}")


def _walk(opened: OpenedRun, settings: LatentMapConfig) -> ApplicationResult:
    path = check_grid(output_path(opened.run, settings, _WALK, ".png", ("walk",)), settings.steps**2, opened.spec.shape)
    found = walk(opened, settings.steps, settings.label)
    save_png(image_grid(found.images, settings.steps), path)
    content = {"path": str(path), "steps": settings.steps, "images": len(found.images), "plane": found.plane}
    return ApplicationResult(content, f"{len(found.images)} images decoded from {found.plane}, in {path}")


def _section(opened: OpenedRun) -> ReportSection:
    overview_images(opened, 1)
    count = min(_REPORT_POINTS, len(opened.dataset.test))
    dimensions = require(opened.model, AMORTIZED_LATENT_SPACE, "a map").latent_dim
    method: Method = "latents" if dimensions <= 2 else "pca"
    found = latent_map(opened, (method,), count)
    colours = coloring(opened, opened.dataset.test, found.indices)
    alt = f"{count} test images at the places of their latents, by {colours.title}"
    figures = [Figure(maps_picture(found, colours, _REPORT_SIDE), alt, NAMES[method])]
    if (stored := stored_tsne(opened, _REPORT_SIDE)) is not None:
        figures.append(stored)
    text = (
        "Test images at the places of their latents. Groups of one class indicate latents that separate the classes. "
        "Trustworthiness is 1 where neighbours in the map are neighbours in the latents. Beside it stands the share of images "
        "whose nearest others have mostly their class, in the map and in the latents."
    )
    return ReportSection("Latent map", 85, (text, *found.summary().splitlines()), (tuple(figures),))


APPLICATION = Application(
    name="latent-map",
    description=__doc__,
    settings=LatentMapConfig,
    needs=(AMORTIZED_LATENT_SPACE,),
    run=_run,
    examples=(
        "simulacra latent-map runs/first",
        "simulacra latent-map runs/first --method pca --points 10000 --color score",
        "simulacra latent-map runs/first --color scores.csv:anomaly",
        "simulacra latent-map runs/first --walk",
    ),
    setting_needs={"label": ("labels",)},
    section=_section,
)
