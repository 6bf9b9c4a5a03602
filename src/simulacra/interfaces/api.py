"""The Python API: what the command line does, as functions. It prints nothing unless given a `progress`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulacra.core.errors import SimulacraError, UsageError, unknown
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset
from simulacra.data.domains import together
from simulacra.data.load import from_array, load
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import OF_THE_MACHINE
from simulacra.evaluation.compare import compare_runs, write_csv
from simulacra.evaluation.settings import evaluation_settings
from simulacra.reports.comparison_page import write_page
from simulacra.runs.opened import OpenedRun, open_run
from simulacra.runs.settings import read_recipe, resolve
from simulacra.training.train import default_folder
from simulacra.training.train import resume as _resume
from simulacra.training.train import train as _train

__all__ = ["SimulacraError", "UsageError", "compare", "from_array", "load_data", "open", "resume", "train", "unpaired"]


def train(
    family: str,
    *,
    recipe: Path | str | None = None,
    out: Path | str | None = None,
    dataset: Dataset | None = None,
    progress: Progress = SILENT,
    **settings: Any,
) -> OpenedRun:
    """Train a family into a new run folder and return the model.

    `settings` are those of `simulacra train FAMILY --help`, by name: data="mnist", duration="10ep", latent_dim=8, preset="dense".
    `dataset` is for images of your own (`simulacra.from_array`). Raises UsageError, DataError, NonFiniteError.
    """
    tables = {**(read_recipe(Path(recipe)) if recipe else {}), "family": family}
    config = resolve(tables, settings, str(recipe or "the settings"))
    outcome = _train(config, Path(out) if out else default_folder(config), dataset, progress)
    return OpenedRun(outcome.run, dataset)


def resume(
    run: Path | str, *, duration: str = "", dataset: Dataset | None = None, progress: Progress = SILENT, **machine: Any
) -> OpenedRun:
    """Continue an interrupted run, or with a new `duration` a finished one, and return the model.

    `machine`: device, threads, compile or shard, where they differ from now on. Raises UsageError, DataError, NonFiniteError.
    """
    if wrong := sorted(set(machine) - set(OF_THE_MACHINE)):
        raise unknown("setting of a resumed run", wrong[0], ("duration", *OF_THE_MACHINE))
    outcome = _resume(Path(run), duration, machine, dataset=dataset, progress=progress)
    return OpenedRun(outcome.run, dataset)


def open(run: Path | str, *, dataset: Dataset | None = None) -> OpenedRun:
    """Open a run folder; the result samples, encodes, decodes, reconstructs, interpolates, evaluates and reports."""
    return open_run(run, dataset)


def compare(
    runs: Sequence[Path | str | OpenedRun],
    *,
    html: Path | str | None = None,
    csv: Path | str | None = None,
    progress: Progress = SILENT,
    **settings: Any,
) -> dict[str, Any]:
    """Evaluate runs (folders, or what `open` returned) alike and rank their numbers, as `simulacra compare --json` prints them.

    html, csv: files to write as well. `settings` are those of `simulacra evaluate --help`, by name. Raises UsageError, DataError.
    """
    comparison = compare_runs(runs, evaluation_settings(settings), progress)
    if csv:
        write_csv(comparison, Path(csv))
    if html:
        write_page(comparison, Path(html), progress)
    return comparison.table()


def unpaired(*, a: Dataset, b: Dataset) -> Dataset:
    """Return two data sets as the domains of one, for families that translate; raises UsageError for one that is streamed."""
    return together({"a": a, "b": b})


def load_data(name: str = "digits", *, progress: Progress = SILENT, **settings: Any) -> Dataset:
    """Load a data set: its `train`, `validation` and `test` hold uint8 images. `settings` are those of DataConfig."""
    return load(DataConfig.of({"data": name, **settings}), progress)
