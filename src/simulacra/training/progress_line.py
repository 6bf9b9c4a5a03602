"""What the progress display of a training shows: the losses first, then what snapshots found, then the rest."""

import math
from collections.abc import Mapping

from simulacra.core.progress import Meter
from simulacra.engine.loop import Trainer

_EVERY = 1.0  # seconds between updates of the losses


class ProgressLine:
    """The facts beside a progress bar, in the order of their importance; displays drop the last ones that do not fit."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._snapshot: dict[str, str] = {}
        self._losses: dict[str, float] = {}
        self._shown = -math.inf

    def show_recent(self, trainer: Trainer) -> None:
        """Display the losses of the last step, unless others were displayed within the last second."""
        if trainer.window and trainer.seconds - self._shown >= _EVERY:
            self.show(trainer, trainer.window.recent())

    def show(self, trainer: Trainer, record: Mapping[str, float]) -> None:
        """Display the losses in a record, by `player/part`."""
        self._shown = trainer.seconds
        self._losses = {name: value for name, value in record.items() if "/" in name}
        self._update(trainer)

    def show_validation(self, trainer: Trainer, record: Mapping[str, float]) -> None:
        """Display the validation loss of a single player, and diversity; those of an untrained model are not displayed."""
        if trainer.step == 0:
            return
        losses = [value for name, value in record.items() if name.endswith("/loss")]
        self._snapshot = {"validation": f"{losses[0]:.4g}"} if len(losses) == 1 else {}
        self._snapshot |= {"diversity": f"{record['diversity']:.2f}"} if "diversity" in record else {}
        self._update(trainer)

    def _update(self, trainer: Trainer) -> None:
        single = len(trainer.players) == 1
        names = sorted(self._losses, key=lambda name: not name.endswith("/loss"))
        shown = {name.split("/", 1)[1] if single else name: f"{self._losses[name]:.4g}" for name in names}
        totals = {name: text for name, text in shown.items() if name.endswith("loss")}
        speed = trainer.images / max(trainer.seconds - trainer.time.observed, 1e-9)
        self._meter.advance(0, **{**totals, **self._snapshot, **shown, "images": f"{speed:,.0f}/s"})
