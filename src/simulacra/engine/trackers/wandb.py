"""Weights & Biases: offline in RUN/wandb, unless WANDB_MODE=online is set."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

_TIMEOUT = 30.0  # seconds for the first answer of the server


class WeightsAndBiases:
    """Writes a W&B run whose id is stored in the run folder, so that a resumed training continues the same run.

    Online, W&B ignores steps that it has already. Offline, every resume adds a folder with the same id.
    """

    package = "wandb"

    def __init__(self) -> None:
        self._run: Any = None
        self._image: Any = None

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Open the run: a new one at step 0, otherwise the one with the stored id."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import: disables error reports to W&B
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        self._image = wandb.Image
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "simulacra"),
            name=os.environ.get("WANDB_NAME", folder.absolute().name),
            id=_run_id(folder / "wandb" / "run-id", fresh=step == 0),
            config=dict(settings),
            dir=str(folder),
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", init_timeout=_TIMEOUT),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values."""
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, path: Path) -> None:
        """Log the image."""
        self._run.log({name: self._image(str(path))}, step=step)

    def finish(self) -> None:
        """Close the run; online, pending entries are sent first."""
        self._run.finish()


def _run_id(path: Path, fresh: bool) -> str:
    """Return the id stored in a file; create and store a new one if there is none, or if `fresh`."""
    if fresh or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid4().hex[:8])
    return path.read_text()


TRACKER = WeightsAndBiases
