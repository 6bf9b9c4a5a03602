"""The Python API: what the command line does, as functions. Long tasks show their progress; `quiet=True` silences them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulacra import families
from simulacra.core.errors import DataError, NotApplicable, SimulacraError, UsageError
from simulacra.core.family import Family
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.core.randomness import stream
from simulacra.data import sources
from simulacra.data.check import Checkup, check
from simulacra.data.dataset import Dataset, combine
from simulacra.data.layout.domains import domain_names
from simulacra.data.load import ImageSource, load
from simulacra.data.load import from_array as _from_array
from simulacra.data.settings import SHARD_IMAGES, DataConfig, without_transforms
from simulacra.data.shards.pack import pack
from simulacra.documentation.explanation import Explanation, explained
from simulacra.evaluation.compare import compare_runs
from simulacra.evaluation.settings import evaluation_settings
from simulacra.features.loading import parse
from simulacra.features.training import train_extractor as _train_extractor
from simulacra.images.grid import image_grid
from simulacra.interfaces.catalogue import catalogue
from simulacra.interfaces.commands import compare as compare_command
from simulacra.interfaces.commands.models import descriptions
from simulacra.interfaces.display.default_progress import progress_of, progress_of_training, with_default_progress
from simulacra.interfaces.display.pictures import register_all
from simulacra.interfaces.model import Model
from simulacra.interfaces.result import Result
from simulacra.quizzes import find as find_quiz
from simulacra.quizzes.quiz import Quiz
from simulacra.reports.comparison_page import check_comparison, write_comparison
from simulacra.reports.plots import Plots, line_plot
from simulacra.runs.initial_weights import settings_of_run
from simulacra.runs.opened import Device
from simulacra.runs.own_families import add_family, load_family, name_of
from simulacra.runs.run import Run
from simulacra.runs.settings import read_recipe, resolve
from simulacra.training.train import default_folder
from simulacra.training.train import resume as _resume
from simulacra.training.train import train as _train
from simulacra.training.watch import RunStatus, run_status

__all__ = [
    "DataError",
    "Dataset",
    "Model",
    "NotApplicable",
    "Plots",
    "Result",
    "SimulacraError",
    "UsageError",
    "check_data",
    "compare",
    "explain",
    "from_array",
    "image_grid",
    "line_plot",
    "list_data",
    "list_families",
    "load_data",
    "load_family",
    "open",
    "pack_data",
    "quiz",
    "resume",
    "status",
    "train",
    "train_extractor",
    "unpaired",
    "untrained",
]

from_array = with_default_progress(_from_array)


def train(
    family: str | Path | type[Family],
    *,
    recipe: Path | str | None = None,
    from_run: Path | str | None = None,
    out: Path | str | None = None,
    dataset: Dataset | ImageSource | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Model:
    """Train a family into a new run folder and return the model.

    family: its name, or a family of your own: a class, or the path of a .py file that defines one, which is run. dataset: images
    of your own, as `from_array` takes them; without it they are found by `data`. from_run: a run of the family, whose weights
    the training begins with, and whose model and data are used unless given. `settings` are those of
    `simulacra train FAMILY --help`, by name: data="mnist", duration="10ep", latent_dim=8, preset="dense". progress: what shows
    the progress, by default the terminal or notebook; quiet: nothing does. For images of your own and without `recipe`, settings
    that are not given are chosen by the images and the device. Raises UsageError, DataError, NonFiniteError.
    """
    shown = progress_of(progress, quiet)
    tables = {**(read_recipe(Path(recipe)) if recipe else {}), "family": _family(family)}
    start = Path(from_run) if from_run else None
    if start:
        tables = settings_of_run(tables, start, settings)
    config = resolve(tables, settings, str(recipe or "the settings"))
    data = _dataset(dataset, shown)
    folder = expand_home(out) if out else default_folder(config, data)
    outcome = _train(config, folder, data, progress_of_training(shown, folder), start=start)
    return Model(outcome.run, data, shown, config.train.device)


def untrained(
    family: str | Path | type[Family], *, dataset: Dataset, recipe: Path | str | None = None, **settings: Any
) -> Family:
    """Return a family as a torch module, in training mode, with the weights with which `train` begins for the same settings.

    family, recipe, settings: as in `train`; the seed determines the weights. dataset: determines the sizes of the networks.
    Raises UsageError.
    """
    config = resolve({**(read_recipe(Path(recipe)) if recipe else {}), "family": _family(family)}, settings, "the settings")
    with stream(config.train.seed, "initialize"):
        return config.new_family(dataset.spec)


def resume(
    run: Path | str,
    *,
    duration: str = "",
    dataset: Dataset | ImageSource | None = None,
    family: Path | str | type[Family] | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Model:
    """Continue an interrupted run, or with a new `duration` a finished one, and return the model.

    family, progress, quiet: as in `open`. `settings`: those of `simulacra resume --help` that differ from now on, by name, such
    as lr, batch or device. Raises UsageError, DataError, NonFiniteError.
    """
    shown = progress_of(progress, quiet)
    _give(family)
    data = _dataset(dataset, shown)
    outcome = _resume(Path(run), duration, settings, dataset=data, progress=progress_of_training(shown, Path(run)))
    return Model(outcome.run, data, shown, outcome.run.config.train.device)


def open(
    run: Path | str,
    *,
    dataset: Dataset | ImageSource | None = None,
    family: Path | str | type[Family] | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    device: Device = "auto",
) -> Model:
    """Open a run folder and return the model.

    dataset: the images of the training, if they were given in memory. family: the class of a run of a family of your own, or the
    .py file that defines it, which is run; opening a run never runs code that its folder holds. progress: what shows the progress
    of this model's methods, by default the terminal or notebook; quiet: nothing does. Raises UsageError, DataError.
    """
    shown = progress_of(progress, quiet)
    _give(family)
    return Model(Run.open(run), _dataset(dataset, shown), shown, device)


def compare(
    runs: Sequence[Path | str | Model],
    *,
    html: Path | str | None = None,
    csv: Path | str | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    device: Device = "auto",
    **settings: Any,
) -> Result:
    """Evaluate runs (folders or models) with the same settings and rank them, as `simulacra compare --json` prints it.

    html, csv: files to write as well. `settings` are those of `simulacra evaluate --help`, by name. Raises UsageError, DataError.
    """
    shown, files = progress_of(progress, quiet), (Path(csv) if csv else None, Path(html) if html else None)
    check_comparison(*files)
    comparison = compare_runs(runs, evaluation_settings(settings), shown, device)
    write_comparison(comparison, *files, shown)
    return Result(comparison.table(), compare_command.text(comparison))


def explain(name: str) -> Explanation:
    """Return what the documentation says about a metric, family, setting, warning, command or concept.

    A notebook and a Python prompt display it; `markdown` and `text(width)` are its contents. Raises UsageError with the nearest
    names for one that nothing explains.
    """
    return explained(name, families.packaged(), catalogue)


def status(run: Path | str) -> RunStatus:
    """Return step, losses and warnings of a run, also while another process trains it: what `simulacra watch --json` prints."""
    return run_status(Run.open(run))


def quiz(page: str) -> Quiz:
    """Return the quiz of a page of the documentation, such as "vae"; a notebook displays its questions as cards to answer.

    Raises UsageError for a page without questions, with the known ones.
    """
    return find_quiz(page)


def list_families() -> dict[str, dict[str, Any]]:
    """Return summary, paper, capabilities, applications and presets of every family, as `simulacra models --json` prints them."""
    return descriptions()


def unpaired(*, a: Dataset | ImageSource, b: Dataset | ImageSource) -> Dataset:
    """Return two data sets as the domains of one, for families that translate; raises UsageError for one that is streamed."""
    parts = {name: _in_memory(one) for name, one in {"a": a, "b": b}.items()}
    built_in = {without_transforms(part.name) for part in parts.values()} & sources.sources().keys()
    return combine(parts, {} if built_in else domain_names({name: part.name for name, part in parts.items()}))


def load_data(name: str = "digits", *, progress: Progress | None = None, quiet: bool = False, **settings: Any) -> Dataset:
    """Load a data set: its `train`, `validation` and `test` hold uint8 images.

    name: as for `data` of `train`: of a data set, or the path of images. `settings` are those of `simulacra data check --help`,
    by name: size=64, flip=True. Raises UsageError, DataError.
    """
    return load(DataConfig.of({"data": name, **settings}), progress_of(progress, quiet))


def list_data() -> dict[str, dict[str, Any]]:
    """Return the data sets that have a name, as `simulacra data list --json` prints them."""
    return {item.name: asdict(item) for item in sources.names()}


def check_data(name: str, *, progress: Progress | None = None, quiet: bool = False, **settings: Any) -> Checkup:
    """Examine every image of a data set for problems that affect training: `findings`, each with a remedy, and `healthy`.

    name, `settings`: as for `load_data`. Raises UsageError, DataError.
    """
    return check(DataConfig.of({"data": name, **settings}), progress_of(progress, quiet))


def pack_data(
    name: str,
    out: Path | str,
    *,
    shard_images: int = SHARD_IMAGES,
    progress: Progress | None = None,
    quiet: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Write a data set into a new folder of tar shards that training can stream, as `simulacra data pack`.

    name, `settings`: as for `load_data`; shard_images: in one shard. Raises UsageError, DataError.
    """
    return pack(DataConfig.of({"data": name, **settings}), expand_home(out), shard_images, progress_of(progress, quiet))


def train_extractor(
    name: str, dataset: Dataset | ImageSource, *, progress: Progress | None = None, quiet: bool = False, **settings: Any
) -> Mapping[str, Any]:
    """Train a feature extractor, such as "lenet", on a data set, once, and return its facts, as `simulacra extractor train`.

    `settings` are those of training, by name: seed=1, duration="2h". Raises UsageError, DataError.
    """
    shown = progress_of(progress, quiet)
    return _train_extractor(parse(name)[0], _in_memory(dataset), settings, shown).facts


def _family(family: str | Path | type[Family]) -> str:
    """Return the name of a family, after adding one of the user's own."""
    if isinstance(family, type):
        return add_family(family)
    if not isinstance(family, str | Path):
        raise UsageError(f"family is a {type(family).__name__}, expected a name, a class, or the path of a file")
    return name_of(load_family(family)) if isinstance(family, Path) or family.endswith(".py") else family


def _give(family: str | Path | type[Family] | None) -> None:
    """Add a family of the user's own, if one is given."""
    if family is not None:
        _family(family)


def _dataset(given: Dataset | ImageSource | None, progress: Progress) -> Dataset | None:
    return given if given is None or isinstance(given, Dataset) else from_array(given, progress=progress)


def _in_memory(given: Dataset | ImageSource) -> Dataset:
    return given if isinstance(given, Dataset) else from_array(given)


register_all()
