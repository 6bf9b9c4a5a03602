"""The Python API: the functions of the command line. It prints nothing unless a `progress` is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from simulacra.applications import interpolate, reconstruct, restore, sample, translate, traverse
from simulacra.applications.interpolate import PathKind
from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import SimulacraError, UsageError, unknown
from simulacra.core.family import Family
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset, combine
from simulacra.data.load import from_array, load
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import OF_THE_MACHINE
from simulacra.evaluation.compare import compare_runs
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.settings import AMOUNTS, evaluation_settings, setting_needs
from simulacra.interfaces.comparison_files import write_comparison
from simulacra.reports.run_page import write_report
from simulacra.runs import latent_space
from simulacra.runs.applicable import require_applicable
from simulacra.runs.opened import OpenedRun, open_run
from simulacra.runs.run import Run
from simulacra.runs.settings import read_recipe, resolve
from simulacra.training.train import default_folder
from simulacra.training.train import resume as _resume
from simulacra.training.train import train as _train

__all__ = ["Model", "SimulacraError", "UsageError", "compare", "from_array", "load_data", "open", "resume", "train", "unpaired"]

Device = Literal["auto", "cpu", "cuda"]


class Model:
    """A trained model: what `train`, `resume` and `open` return. Images are float [n c h w] in [0, 1], on the CPU.

    Methods that the model does not support raise NotApplicable; `capabilities` lists what it supports.
    """

    def __init__(self, opened: OpenedRun) -> None:
        self.opened = opened

    def __repr__(self) -> str:
        shape = " x ".join(map(str, (self.spec.height, self.spec.width, self.spec.channels)))
        data = self.run.provenance["data"]["name"]
        return (
            f"<simulacra.Model: {type(self.model).__name__} at step {self.step:,}, trained on {data} ({shape}), "
            f"on {self.device.type}, from {self.run.path}; supports {', '.join(self.capabilities)}>"
        )

    @property
    def run(self) -> Run:
        """The run folder: paths, settings, provenance."""
        return self.opened.run

    @property
    def model(self) -> Family:
        """The network, a torch module with the weights of the newest checkpoint."""
        return self.opened.model

    @property
    def step(self) -> int:
        """The training step of the weights."""
        return self.opened.step

    @property
    def spec(self) -> DataSpec:
        """Shape and classes of the training data."""
        return self.opened.spec

    @property
    def dataset(self) -> Dataset:
        """The data that the model was trained on."""
        return self.opened.dataset

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, in hex."""
        return self.opened.digest

    @property
    def device(self) -> Any:
        """The torch device of the model."""
        return self.opened.device

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities of the model."""
        return self.opened.capabilities

    def plan(
        self,
        sampler: str | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ) -> SamplingPlan:
        """Return the sampling plan of the run's settings, changed by what is given; see `OpenedRun.plan`."""
        return self.opened.plan(sampler, steps, guidance_scale, precision)

    def label_condition(self, text: str, count: int) -> Condition:
        """Return the condition of `count` images with one label; see `OpenedRun.label_condition`."""
        return self.opened.label_condition(text, count)

    def sample(
        self,
        count: int = 64,
        seed: int = 0,
        progress: Progress = SILENT,
        *,
        label: str | None = None,
        plan: SamplingPlan | None = None,
    ) -> Tensor:
        """Return `count` generated images; image k of a seed does not depend on the count. See `applications.sample`."""
        return sample.sample(self.opened, count, seed, progress, label=label, plan=plan)

    def reconstruct(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the reconstructions of images."""
        return reconstruct.reconstruct(self.opened, images, condition)

    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the latents [n d] of images."""
        return latent_space.encode(self.opened, images, condition)

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the images of latents [n d]."""
        return latent_space.decode(self.opened, latents, condition)

    def interpolate(self, start: Tensor, end: Tensor, steps: int = 11, path: PathKind = "auto") -> Tensor:
        """Return images [n steps c h w] between `start` and `end`, both [n c h w], through the latent space."""
        return interpolate.interpolate(self.opened, start, end, steps, path)

    def interpolate_noise(
        self, rows: int = 8, steps: int = 11, seed: int = 0, path: PathKind = "auto", *, label: str | None = None
    ) -> Tensor:
        """Return images [rows steps c h w] of interpolated noise: row k is between the images 2k and 2k + 1 of the seed."""
        return interpolate.interpolate_noise(self.opened, rows, steps, seed, path, label=label)

    def traverse(self, image: Tensor, steps: int = 11, reach: float = 3.0) -> Tensor:
        """Return images [d steps c h w] in which one latent of `image` [c h w] is varied in each row."""
        return traverse.traverse(self.opened, image, steps, reach)

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Return images of the domain `to` from images of the other domain."""
        return translate.translate(self.opened, images, to)

    def restore(self, images: Tensor, known: Tensor, seed: int = 0) -> Tensor:
        """Return images whose pixels are generated where `known`, bool [h w], is False."""
        return restore.restore(self.opened, images, known, seed)

    def evaluate(self, progress: Progress = SILENT, **settings: Any) -> dict[str, Any]:
        """Return every metric that the model supports, as `simulacra evaluate --json` prints them.

        `settings` are those of `simulacra evaluate --help`, by name: split="test", samples=10_000, extractor="lenet", seed=0.
        Results are cached. Raises UsageError, DataError; NotApplicable for a setting that does not apply to the model.
        """
        needs = {name: need for name, need in setting_needs().items() if name not in AMOUNTS}
        require_applicable(self.model, settings, needs)
        return evaluate(self.opened, evaluation_settings(settings), progress)

    def report(self, progress: Progress = SILENT) -> Path:
        """Write `report.html` into the run folder and return its path."""
        return write_report(self.opened, progress)


def train(
    family: str,
    *,
    recipe: Path | str | None = None,
    out: Path | str | None = None,
    dataset: Dataset | None = None,
    progress: Progress = SILENT,
    **settings: Any,
) -> Model:
    """Train a family into a new run folder and return the model.

    `settings` are those of `simulacra train FAMILY --help`, by name: data="mnist", duration="10ep", latent_dim=8, preset="dense".
    `dataset` is for images of your own (`simulacra.from_array`). Raises UsageError, DataError, NonFiniteError.
    """
    tables = {**(read_recipe(Path(recipe)) if recipe else {}), "family": family}
    config = resolve(tables, settings, str(recipe or "the settings"))
    outcome = _train(config, Path(out) if out else default_folder(config), dataset, progress)
    return Model(OpenedRun(outcome.run, dataset, device=config.train.device))


def resume(
    run: Path | str, *, duration: str = "", dataset: Dataset | None = None, progress: Progress = SILENT, **machine: Any
) -> Model:
    """Continue an interrupted run, or with a new `duration` a finished one, and return the model.

    `machine`: device, threads, compile or shard, where they differ from now on. Raises UsageError, DataError, NonFiniteError.
    """
    if wrong := sorted(set(machine) - set(OF_THE_MACHINE)):
        raise unknown("setting of a resumed run", wrong[0], ("duration", *OF_THE_MACHINE))
    outcome = _resume(Path(run), duration, machine, dataset=dataset, progress=progress)
    return Model(OpenedRun(outcome.run, dataset, device=outcome.run.config.train.device))


def open(run: Path | str, *, dataset: Dataset | None = None, progress: Progress = SILENT, device: Device = "auto") -> Model:
    """Open a run folder and return the model."""
    return Model(open_run(run, dataset, progress, device))


def compare(
    runs: Sequence[Path | str | Model],
    *,
    html: Path | str | None = None,
    csv: Path | str | None = None,
    progress: Progress = SILENT,
    device: Device = "auto",
    **settings: Any,
) -> dict[str, Any]:
    """Evaluate runs (folders or models) with the same settings and rank them, as `simulacra compare --json` prints it.

    html, csv: files to write as well. `settings` are those of `simulacra evaluate --help`, by name. Raises UsageError, DataError.
    """
    opened = [run.opened if isinstance(run, Model) else run for run in runs]
    comparison = compare_runs(opened, evaluation_settings(settings), progress, device)
    write_comparison(comparison, Path(csv) if csv else None, Path(html) if html else None, progress)
    return comparison.table()


def unpaired(*, a: Dataset, b: Dataset) -> Dataset:
    """Return two data sets as the domains of one, for families that translate; raises UsageError for one that is streamed."""
    return combine({"a": a, "b": b})


def load_data(name: str = "digits", *, progress: Progress = SILENT, **settings: Any) -> Dataset:
    """Load a data set: its `train`, `validation` and `test` hold uint8 images. `settings` are those of DataConfig."""
    return load(DataConfig.of({"data": name, **settings}), progress)
