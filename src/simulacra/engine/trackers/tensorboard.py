"""TensorBoard: event files in RUN/tensorboard, to open with `tensorboard --logdir RUN`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorBoard:
    """Writes event files. After a resume, entries after the checkpoint are marked as invalid."""

    package = "tensorboard"

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, settings: Mapping[str, object], folder: Path, step: int) -> None:
        """Open a new event file, and write the settings as a text."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else 0)
        rows = "\n".join(f"| {name} | {value} |" for name, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values, and flush them to the file."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def image(self, step: int, name: str, path: Path) -> None:
        """Write the image in RGB."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def finish(self) -> None:
        """Close the event file."""
        self._writer.close()


TRACKER = TensorBoard
