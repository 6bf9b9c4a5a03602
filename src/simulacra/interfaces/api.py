"""The Python API: the functions of the command line. It prints nothing unless a `progress` is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulacra.anomaly import scores
from simulacra.applications import restore as restoration
from simulacra.applications import translate as translation
from simulacra.core.errors import SimulacraError, UsageError, unknown
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset, combine
from simulacra.data.load import from_array, load
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import OF_THE_MACHINE
from simulacra.evaluation.compare import compare_runs
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.settings import AMOUNTS, evaluation_settings, setting_needs
from simulacra.maps import latent_map, walk
from simulacra.metrics import image_scores
from simulacra.reports.comparison_page import check_comparison, write_comparison
from simulacra.reports.run_page import write_report
from simulacra.runs import latent_space, reconstruction, sampling
from simulacra.runs.applicable import require_applicable
from simulacra.runs.latent_paths import interpolation, traversal
from simulacra.runs.opened import Device, OpenedRun
from simulacra.runs.run import Run
from simulacra.runs.settings import read_recipe, resolve
from simulacra.training.train import default_folder
from simulacra.training.train import resume as _resume
from simulacra.training.train import train as _train

__all__ = ["Model", "SimulacraError", "UsageError", "compare", "from_array", "load_data", "open", "resume", "train", "unpaired"]


class Model(OpenedRun):
    """A trained model: what `train`, `resume` and `open` return. Images are float [n c h w] in [0, 1], on the CPU.

    Methods that the model does not support raise NotApplicable; `capabilities` lists what it supports.
    """

    sample = sampling.sample
    sample_chunks = sampling.sample_chunks
    sample_classes = sampling.sample_classes
    reconstruct = reconstruction.reconstruct
    render_classes = reconstruction.render_classes
    encode = latent_space.encode
    decode = latent_space.decode
    interpolate = interpolation.interpolate
    interpolate_noise = interpolation.interpolate_noise
    interpolate_classes = interpolation.interpolate_classes
    traverse = traversal.traverse
    latent_map = latent_map.latent_map
    latent_walk = walk.walk
    image_scores = image_scores.image_scores
    translate = translation.translate
    restore = restoration.restore
    anomaly_scores = scores.anomaly_scores
    report = write_report

    def __repr__(self) -> str:
        shape, data = f"{self.spec.height} x {self.spec.width} x {self.spec.channels}", self.run.provenance["data"]["name"]
        return (
            f"<simulacra.Model: {type(self.model).__name__} at step {self.step:,}, trained on {data} ({shape}), "
            f"on {self.device.type}, from {self.run.path}; supports {', '.join(self.capabilities)}>"
        )

    def evaluate(self, progress: Progress = SILENT, **settings: Any) -> dict[str, Any]:
        """Return every metric that the model supports, as `simulacra evaluate --json` prints them.

        `settings` are those of `simulacra evaluate --help`, by name: split="test", samples=10_000, extractor="lenet", seed=0.
        Results are cached. Raises UsageError, DataError; NotApplicable for a setting that does not apply to the model.
        """
        require_applicable(self.model, settings.keys() - AMOUNTS, setting_needs())
        return evaluate(self, evaluation_settings(settings), progress)


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
    return Model(outcome.run, dataset, device=config.train.device)


def resume(
    run: Path | str, *, duration: str = "", dataset: Dataset | None = None, progress: Progress = SILENT, **machine: Any
) -> Model:
    """Continue an interrupted run, or with a new `duration` a finished one, and return the model.

    `machine`: device, threads, compile or shard, where they differ from now on. Raises UsageError, DataError, NonFiniteError.
    """
    if wrong := sorted(set(machine) - set(OF_THE_MACHINE)):
        raise unknown("setting of a resumed run", wrong[0], ("duration", *OF_THE_MACHINE))
    outcome = _resume(Path(run), duration, machine, dataset=dataset, progress=progress)
    return Model(outcome.run, dataset, device=outcome.run.config.train.device)


def open(run: Path | str, *, dataset: Dataset | None = None, progress: Progress = SILENT, device: Device = "auto") -> Model:
    """Open a run folder and return the model."""
    return Model(Run.open(run), dataset, progress, device)


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
    files = Path(csv) if csv else None, Path(html) if html else None
    check_comparison(*files)
    comparison = compare_runs(runs, evaluation_settings(settings), progress, device)
    write_comparison(comparison, *files, progress)
    return comparison.table()


def unpaired(*, a: Dataset, b: Dataset) -> Dataset:
    """Return two data sets as the domains of one, for families that translate; raises UsageError for one that is streamed."""
    return combine({"a": a, "b": b})


def load_data(name: str = "digits", *, progress: Progress = SILENT, **settings: Any) -> Dataset:
    """Load a data set: its `train`, `validation` and `test` hold uint8 images. `settings` are those of DataConfig."""
    return load(DataConfig.of({"data": name, **settings}), progress)
