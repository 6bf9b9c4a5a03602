"""Training durations: in steps, epochs, images or time."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from simulacra.core.errors import UsageError

Unit = Literal["steps", "epochs", "images", "seconds"]

_UNITS: dict[str, tuple[Unit, float]] = {
    **dict.fromkeys(("", "step", "steps"), ("steps", 1)),
    **dict.fromkeys(("ep", "epoch", "epochs"), ("epochs", 1)),
    **{"img": ("images", 1), "images": ("images", 1), "k": ("images", 1e3), "kimg": ("images", 1e3)},
    "mimg": ("images", 1e6),
    **{"s": ("seconds", 1), "sec": ("seconds", 1), "min": ("seconds", 60), "h": ("seconds", 3600)},
}
FORMS = "such as 20ep (epochs), 3000 (steps), 500k (images), 10min or 2h (time)"


@dataclass(frozen=True)
class Origin:
    """Where the present batch size begins: the steps, images and epochs before it; zero unless a resume changed the size."""

    step: int = 0
    images: int = 0
    epochs: float = 0.0


@dataclass(frozen=True)
class Duration:
    """A duration in one unit."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read a duration; raises UsageError.

        >>> Duration.parse("500k"), Duration.parse("10min")
        (Duration(amount=500000.0, unit='images'), Duration(amount=600.0, unit='seconds'))
        """
        if re.fullmatch(r"\s*[\d.]+\s*[mM]\s*", text):
            number = text.strip()[:-1].strip()
            raise UsageError(f"duration {text!r} is ambiguous: write {number}min for minutes, or {number}mimg for million images")
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
        if match is None or match[2].lower() not in _UNITS or not float(match[1]):
            raise UsageError(f"duration is {text!r}, expected a number with a unit, {FORMS}, and more than zero")
        unit, scale = _UNITS[match[2].lower()]
        return cls(float(match[1]) * scale, unit)

    def share(self, origin: "Origin") -> float:
        """Return the fraction of the duration at a position, in [0, 1]; raises KeyError for time."""
        return min(1.0, {"steps": origin.step, "epochs": origin.epochs, "images": origin.images}[self.unit] / self.amount)

    def steps(self, batch: int, per_epoch: int, per_step: int) -> int | None:
        """Return the number of steps, for `per_epoch` batches of `batch` images an epoch and `per_step` a step; None for time."""
        if self.unit == "seconds":
            return None
        batches = {"steps": self.amount * per_step, "epochs": self.amount * per_epoch, "images": self.amount / batch}[self.unit]
        return max(1, round(batches / per_step))

    def after(self, share: float) -> "Duration":
        """Return what is left after a fraction of the duration."""
        return replace(self, amount=self.amount * (1 - share))
