"""The run folder: the only door from training to everything after it.

config.toml (resolved settings), provenance.json, reports.jsonl, checkpoints/, samples/, evaluation/, report.html.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from simulacra.core.batch import DataSpec
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.family import Family
from simulacra.core.files import unwritable, write_json
from simulacra.core.randomness import stream
from simulacra.data.dataset import Dataset
from simulacra.engine import checkpoint
from simulacra.engine.reports import Reports
from simulacra.runs import settings
from simulacra.runs.settings import RunConfig

_FOLDERS = ("checkpoints", "samples", "evaluation")
CONFIG, PROVENANCE = "config.toml", "provenance.json"


class Run:
    """One run, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.evaluations = path / "evaluation"
        self.reports = Reports(path / "reports.jsonl")

    @classmethod
    def create(cls, path: Path, config: RunConfig, provenance: dict[str, Any]) -> "Run":
        """Make a new run folder; raises UsageError where one stands already."""
        cls.refuse(path)
        try:
            for folder in _FOLDERS:
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        write_json(path / PROVENANCE, provenance)
        config.write(path / CONFIG)
        return cls(path)

    @staticmethod
    def refuse(path: Path) -> None:
        """Raise UsageError if a new run cannot be made at `path`, because something is there."""
        if path.exists() and not _is_unmade(path):
            does = "continue it with 'simulacra resume'" if (path / CONFIG).exists() else "it is not empty"
            raise UsageError(f"{path} exists already: {does}, or choose another --out")

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder; raises UsageError where there is none."""
        path = Path(path)
        missing = [name for name in (CONFIG, PROVENANCE) if not (path / name).is_file()]
        if missing:
            what = "has no " + " and no ".join(missing) if path.is_dir() else "does not exist"
            raise UsageError(f"{path} is not a run folder: it {what}. Make one with 'simulacra train FAMILY --out {path}'")
        return cls(path)

    @cached_property
    def config(self) -> RunConfig:
        """The settings."""
        return settings.read(self.path / CONFIG)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where the run comes from: versions, command, hardware, data."""
        return self.read_provenance()

    def read_provenance(self) -> dict[str, Any]:
        """Read the provenance as it stands now, which another process may be changing."""
        try:
            content: dict[str, Any] = json.loads((self.path / PROVENANCE).read_text())
        except ValueError as error:
            raise SimulacraError(f"{self.path / PROVENANCE} is damaged: {error}") from error
        return content

    @property
    def spec(self) -> DataSpec:
        """Shape and classes of the training data."""
        data = self.provenance["data"]
        return DataSpec(data["channels"], data["height"], data["width"], tuple(data["classes"]))

    def load_family(self) -> tuple[Family, int]:
        """Return the family with the weights to evaluate (the average, where one is kept) and the step they are from."""
        group = "average" if self.config.train.ema else "model"
        stored, _ = checkpoint.read_newest(self.checkpoints, (group,))
        with stream(0, "overwritten below"):
            family = self.config.new_family(self.spec)
        family.load_state_dict(stored.tensors[group])
        return family.eval().requires_grad_(False), stored.facts["step"]

    def check_data(self, data: Dataset) -> Dataset:
        """Return the data if they are those of the training; raises UsageError otherwise."""
        before = self.provenance["data"]
        if data.digest != before["digest"]:
            raise UsageError(
                f"{self.path} was trained on {before['name']} with digest {before['digest'][:12]}, and {data.name} has "
                f"{data.digest[:12]}: bring those data back, or give them as dataset= in Python"
            )
        return data

    def update_provenance(self, **facts: Any) -> None:
        """Add facts to the provenance."""
        self.provenance.update(facts)
        write_json(self.path / PROVENANCE, self.provenance)


def _is_unmade(path: Path) -> bool:
    """Return whether a folder is empty, or was being made into a run when its process died, before the settings stood."""
    if not path.is_dir() or (path / CONFIG).exists():
        return False
    ours = {*_FOLDERS, PROVENANCE}
    return all(item.name in ours or item.name.endswith(".tmp") for item in path.iterdir())
