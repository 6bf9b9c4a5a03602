"""The run folder: the only interface between training and everything that uses a model. It knows every path in it.

config.toml (resolved settings), provenance.json, reports.jsonl, checkpoints/, evaluation/, images/ (of applications),
classification/ (a classifier and its evaluations), detection/ (calibrations and evaluations of anomaly scores), report.html;
family.py (a copy of the file of a user's own family, which is never run by opening the run);
images saved during training: samples/, reconstructions/, restorations/, translations/.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from simulacra.core.batch import Attribute, DataSpec
from simulacra.core.early_stopping import best_step, validation_losses
from simulacra.core.errors import DataError, SimulacraError, UsageError
from simulacra.core.family import Family
from simulacra.core.files import RUN_FILES, Unwritable, remove_unfinished, require_writable, unwritable, write_json
from simulacra.core.home import expand_home
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import stream
from simulacra.core.text import quoted
from simulacra.core.vocabulary import Vocabulary
from simulacra.data.dataset import Dataset
from simulacra.data.load import load
from simulacra.data.settings import PlacesConfig
from simulacra.data.sources import located
from simulacra.engine import checkpoint, state
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.checkpoint_compatibility import incompatibility
from simulacra.engine.reports import Reports
from simulacra.runs import own_families, settings
from simulacra.runs.lock import LOCK, writing
from simulacra.runs.settings import RunConfig

_FOLDERS = ("checkpoints", "samples", "evaluation")
CONFIG, PROVENANCE = RUN_FILES
FORMAT = 2
"""Version of the run folder, written into the provenance; raised when a run of an older one can no longer be read."""


class Run:
    """One run, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints, self.samples, self.evaluations = (path / name for name in _FOLDERS)
        self.reconstructions, self.images = path / "reconstructions", path / "images"
        self.classification = path / "classification"
        self.calibrations = self.evaluations / "calibrations"
        self.restorations = path / "restorations"
        self.report = path / "report.html"
        self.reports = Reports(path / "reports.jsonl")
        self.detection = path / "detection"

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    def translations(self, to: str) -> Path:
        """Return the folder of the images that show translations to one domain, saved during training."""
        return self.path / "translations" / f"to_{self.spec.domain_title(to)}"

    def calibration(self, score: str) -> Path:
        """Return the path of the calibration of an anomaly score."""
        return self.detection / f"calibration_{score}.json"

    def detection_evaluation(self, score: str) -> Path:
        """Return the path of the newest evaluation of an anomaly score."""
        return self.detection / f"evaluation_{score}.json"

    @property
    def snapshot_folders(self) -> tuple[Path, ...]:
        """Folders of images saved during training; those of what the model does not support do not exist."""
        return (self.samples, self.path / "translations", self.reconstructions, self.restorations)

    @property
    def last_snapshot(self) -> Path | None:
        """The newest image saved during training, of the first of these folders that has one; None before the first."""
        found = (path for folder in self.snapshot_folders for path in sorted(folder.rglob("*.png"))[-1:])
        return next(found, None)

    @classmethod
    def create(cls, path: Path, config: RunConfig, provenance: dict[str, Any]) -> "Run":
        """Make a new run folder; raises UsageError where one exists, Unwritable."""
        cls.refuse(path)
        run = cls(path)
        run.make_folders(parents=True)
        with writing(path):
            cls.refuse(path)  # another process may have made it in between
            write_json(path / PROVENANCE, {"format": FORMAT, "id": secrets.token_hex(8), **provenance})
            config.write(path / CONFIG)
        return run

    @staticmethod
    def refuse(path: Path) -> None:
        """Raise UsageError if a new run cannot be made at `path`, because something is there or above it; Unwritable."""
        if path.exists() and not _is_unmade(path):
            does = "continue it with 'simulacra resume'" if (path / CONFIG).exists() else "it is not empty"
            raise UsageError(f"{path} exists already: {does}, or choose another --out")
        require_writable(path)

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder; raises UsageError where there is none, or one of an older format."""
        path = expand_home(path)
        if missing := [name for name in (CONFIG, PROVENANCE) if not (path / name).is_file()]:
            what = "has no " + " and no ".join(missing) if path.is_dir() else "does not exist"
            raise UsageError(
                f"{path} is not a run folder: it {what}. Make one with `simulacra train FAMILY --out {quoted(path)}`"
            )
        _require_format(path)
        return cls(path)

    @cached_property
    def config(self) -> RunConfig:
        """The settings; raises UsageError where they are damaged, or of a family of a user's own that is not given."""
        own_families.require_known(self.path, self.provenance)
        return settings.read(self.path / CONFIG)

    def change_config(self, config: RunConfig) -> None:
        """Replace the settings; raises Unwritable."""
        config.write(self.path / CONFIG)
        self.__dict__["config"] = config

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """How the run was made: versions, command, hardware, data."""
        return self.read_provenance()

    def read_provenance(self) -> dict[str, Any]:
        """Read the provenance from the disk, where another process may have changed it."""
        try:
            content: dict[str, Any] = json.loads((self.path / PROVENANCE).read_text())
            _require_whole_data(content["data"])
            own_families.require_whole(content)
            if not isinstance(content.get("resumes", []), list):
                raise TypeError("its resumes are not a list")  # noqa: TRY301
        except OSError as error:
            raise SimulacraError(f"{self.path / PROVENANCE} cannot be read: {error.strerror or error}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise SimulacraError(f"{self.path / PROVENANCE} is damaged: {what}. Bring back a whole copy") from error
        return content

    @property
    def spec(self) -> DataSpec:
        """Shape and classes of the training data."""
        return _spec(self.provenance["data"])

    def make_folders(self, parents: bool = False) -> None:
        """Make the folders of a run that are missing in it; raises Unwritable."""
        try:
            for folder in _FOLDERS:
                (self.path / folder).mkdir(parents=parents, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def prepare_writing(self) -> None:
        """Make missing folders and remove unfinished files of an earlier writer. The caller holds the lock. Raises Unwritable."""
        self.make_folders()
        remove_unfinished(self.path)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Raise Unwritable where the folder was moved, or where writing fails, with the command that continues the run.

        Without the first check, writing would create a partial run in the place of the folder.
        """
        try:
            if not (self.path / CONFIG).is_file():
                raise Unwritable(f"cannot write {self.path}: the run folder was moved or removed: bring it back")  # noqa: TRY301
            yield
        except Unwritable as error:
            raise Unwritable(f"{error}, then continue with `simulacra resume {quoted(self.path)}`") from error

    def untrained_family(self) -> Family:
        """Return the family with arbitrary weights: to find out what it can do, or to load weights into it."""
        with stream(0, "overwritten below"):
            return self.config.new_family(self.spec)

    @property
    def best_step(self) -> int | None:
        """The step with the lowest validation loss, of those whose checkpoints are kept; None without early stopping."""
        return self._best_step(lambda step: checkpoint.exists(self.checkpoints, step))

    def _best_step(self, is_kept: Callable[[int], bool]) -> int | None:
        if not self.config.train.patience:
            return None
        losses = validation_losses(self.reports.read())
        return best_step({step: loss for step, loss in losses.items() if is_kept(step)})

    def load_family(self) -> tuple[Family, int, list[str]]:
        """Return the family with the weights to evaluate (the EMA, if one is kept), their step, and warnings.

        With early stopping they are those with the lowest validation loss, otherwise the newest. Raises DamagedCheckpoint where
        no checkpoint can be used.
        """
        group = state.evaluated_group(bool(self.config.train.ema))
        family = self.untrained_family()
        stored, problems = self.read_checkpoint(family, (group,), self.best_step)
        family.load_state_dict(stored.tensors[group])
        return family.eval().requires_grad_(False), stored.facts["step"], problems

    def read_checkpoint(
        self, family: Family, groups: tuple[str, ...] = (), preferred: int | None = None
    ) -> tuple[Checkpoint, list[str]]:
        """Return the newest checkpoint that is whole, of this run, and fits the family; and the problems of those refused.

        groups: all that training needs, unless given; preferred: a step whose checkpoint comes before the newest. Raises
        DamagedCheckpoint.
        """
        wanted = groups or state.groups(bool(self.config.train.ema))

        def wrong(stored: Checkpoint) -> str:
            if stored.facts.get("run") != self.provenance.get("id"):
                return "it belongs to another run"
            found = incompatibility(stored.tensors, family, wanted)
            return f"{found}, so it is not of the model in {CONFIG}: check its settings" if found else ""

        return checkpoint.read_newest(self.checkpoints, groups or (*wanted, state.BUFFERS), wrong, preferred)

    def write_checkpoint(self, step: int, state: Checkpoint, keep: int) -> None:
        """Store a state, after the reports that lead to it, so that no crash leaves it without them; raises Unwritable.

        The last `keep` checkpoints are kept, and with early stopping the best one.
        """
        self.reports.sync()
        signed = Checkpoint(state.tensors, {**state.facts, "run": self.provenance.get("id")})
        best = self._best_step(lambda kept: kept == step or checkpoint.exists(self.checkpoints, kept))
        checkpoint.write(self.checkpoints, step, signed, keep, best)

    def move_data(self, places: PlacesConfig) -> None:
        """Take the data from these places instead of those in the settings; the file of the settings is not changed."""
        if places.given:
            self.config = replace(self.config, data=located(places.applied(self.config.data)))

    def load_data(self, progress: Progress = SILENT) -> Dataset:
        """Return the data that the run was trained on; raises DataError where they cannot be read, UsageError for others."""
        try:
            return self.check_data(load(self.config.data, progress))
        except DataError as error:
            raise DataError(f"{error}. If the data of {self.path} were moved, name their place with --data") from error

    def check_data(self, data: Dataset) -> Dataset:
        """Return the data if they are those of the training; raises UsageError otherwise."""
        before = self.provenance["data"]
        for name in before.get("domains", {}).keys() & data.domains.keys():
            self._require_same(before["domains"][name], data[name], f" as domain {name}")
        self._require_same(before, data)
        return data

    def _require_same(self, before: dict[str, Any], data: Dataset, role: str = "") -> None:
        if data.digest != before["digest"]:
            raise UsageError(
                f"{self.path} was trained on {before['name']}{role} with digest {before['digest'][:12]}, and {data.name} has "
                f"{data.digest[:12]}: bring those data back, give their place with --data, or give them as dataset= in Python"
            )

    def update_provenance(self, **facts: Any) -> None:
        """Add facts to the provenance."""
        self.provenance.update(facts)
        with self.saving():
            write_json(self.path / PROVENANCE, self.provenance)


def _require_format(path: Path) -> None:
    """Raise UsageError for a run of version 0.1, which has no format. Damaged files are reported when they are read."""
    try:
        content = json.loads((path / PROVENANCE).read_text())
        found = content.get("format", 1) if content["data"] else FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if found != FORMAT:
        raise UsageError(
            f"{path} is a run of an older version of Simulacra (format {found}, expected {FORMAT}): train it again, or use "
            "version 0.1 to open it"
        )


def _is_unmade(path: Path) -> bool:
    """Return whether a folder is empty, or holds only what a process wrote that died before it wrote the settings of a run."""
    if not path.is_dir() or (path / CONFIG).exists():
        return False
    ours = {*_FOLDERS, PROVENANCE, LOCK}
    return all(item.name in ours or item.name.endswith(".tmp") for item in path.iterdir())


def _spec(data: dict[str, Any]) -> DataSpec:
    domains = {name: _spec(domain) for name, domain in data["domains"].items()} if "domains" in data else {}
    attributes = tuple(Attribute(item["name"], tuple(item["values"])) for item in data.get("attributes", []))
    shape = (data["channels"], data["height"], data["width"])
    words = data.get("vocabulary")  # images without captions, and runs of earlier versions, have none
    vocabulary = Vocabulary(tuple(words["words"]), words["longest"]) if words else None
    low, high = data.get("levels", (None, None))
    levels = None if low is None else (float(low), float(high))
    names, fit = data.get("domain_names", {}), data.get("fit", "crop")
    return DataSpec(*shape, tuple(data["classes"]), domains, attributes, vocabulary, names, fit, levels)


def _require_whole_data(data: dict[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError unless the facts of the data hold everything that is read of them."""
    shape = _spec(data).shape
    if not all(type(number) is int and number > 0 for number in shape):
        raise ValueError(f"its images have the shape {shape}")
    if not (isinstance(data["digest"], str) and isinstance(data["name"], str)):
        raise TypeError("the name or the digest of its data is not a text")
    for domain in data.get("domains", {}).values():
        _require_whole_data(domain)
