"""Weights & Biases: offline, into RUN/wandb, unless WANDB_MODE=online asks for the network."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

_PATIENCE = 30.0  # seconds for the first answer of a server


class WeightsAndBiases:
    """Writes a run of W&B whose id is kept in the run folder, so that a resumed training is the same run there.

    Online, W&B leaves out steps that it has already. Offline, every resume adds a folder with the same id.
    """

    package = "wandb"

    def __init__(self) -> None:
        self._run: Any = None
        self._picture: Any = None

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Open the run, a new one unless training goes on from a step."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import: else it may report its own errors home
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        self._picture = wandb.Image
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "simulacra"),
            name=os.environ.get("WANDB_NAME", folder.absolute().name),
            id=_identity(folder / "wandb" / "run-id", fresh=step == 0),
            config=dict(settings),
            dir=str(folder),
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", init_timeout=_PATIENCE),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """Log the picture."""
        self._run.log({name: self._picture(str(path))}, step=step)

    def finish(self) -> None:
        """Close the run; online, what is left is sent."""
        self._run.finish()


def _identity(path: Path, fresh: bool) -> str:
    """Return the id that is kept in a file; a new one is made and kept where there is none, or a fresh one is wanted."""
    if fresh or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid4().hex[:8])
    return path.read_text()


TRACKER = WeightsAndBiases
