"""What training says: losses of every player and part, averaged over a window of steps, one JSON object a line."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simulacra.core.errors import SimulacraError
from simulacra.core.family import Loss


class NonFiniteError(SimulacraError):
    """A loss became infinite or NaN."""


class Window:
    """The losses of the steps since the last report, kept on the device until they are averaged."""

    def __init__(self, first: int = 0, rows: Mapping[str, list[float]] | None = None) -> None:
        self.first = first
        self._rows: dict[str, list[Tensor]] = {
            name: [torch.tensor(value) for value in values] for name, values in (rows or {}).items()
        }

    def add(self, losses: Mapping[str, Loss]) -> None:
        """Note the losses of one move."""
        for player, loss in losses.items():
            for part, value in {"loss": loss.total, **loss.parts}.items():
                self._rows.setdefault(f"{player}/{part}", []).append(value.detach().float())

    def values(self) -> dict[str, list[float]]:
        """Return every value noted since `first`; raises NonFiniteError that names player and step."""
        rows = {name: torch.stack(values).tolist() for name, values in self._rows.items()}
        broken = [
            (self._step(index, len(values)), name, value)
            for name, values in rows.items()
            for index, value in enumerate(values)
            if not math.isfinite(value)
        ]
        if broken:
            raise NonFiniteError(_message(*min(broken, key=lambda item: item[0])))
        return rows

    def means(self) -> dict[str, float]:
        """Return the mean of every value since `first`."""
        return {name: math.fsum(values) / len(values) for name, values in self.values().items()}

    def _step(self, index: int, count: int) -> int:
        """Return the step of value `index` of `count`: a player that moves several times has several values a step."""
        steps = min(len(values) for values in self._rows.values())
        return self.first + index * steps // count + 1


def _message(step: int, name: str, value: float) -> str:
    player, part = name.split("/", 1)
    return (
        f"{part} of player '{player}' became {value} at step {step}: training is stopped and the last checkpoint kept. "
        "Try a lower --lr, --clip 1, or --precision float32"
    )


class Reports:
    """The file `reports.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record as one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return all whole records; a line torn by a crash is left out."""
        if not self.path.exists():
            return []
        return [record for line in self.path.read_text().splitlines() if (record := _parsed(line)) is not None]

    def forget_after(self, step: int) -> None:
        """Drop the records after a step, which a resumed run writes again."""
        kept = [json.dumps(record) for record in self.read() if record["step"] <= step]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(line + "\n" for line in kept))
        temporary.replace(self.path)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "step" in record else None
