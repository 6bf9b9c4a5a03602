"""Reports of a training: losses of every player, averaged over a window of steps, one JSON object a line."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simulacra.core.errors import NonFiniteError
from simulacra.core.family import Loss, named
from simulacra.core.files import sync_folder, unwritable, write_text
from simulacra.engine.distributed.processes import ALONE, Processes

Row = list[tuple[int, float]]  # (step, value) of one loss


class Window:
    """The losses of the steps since the last report, on the device until they are averaged.

    Each process adds those of its own images; `rows` and `means` average over processes, which must all call them together.
    """

    def __init__(self, processes: Processes = ALONE, rows: Mapping[str, Row] | None = None) -> None:
        self._processes = processes
        self._rows: dict[str, list[tuple[int, Tensor]]] = {
            name: [(step, torch.tensor(value)) for step, value in row] for name, row in (rows or {}).items()
        }

    def add(self, step: int, losses: Mapping[str, Loss]) -> None:
        """Add the losses of one turn of a step."""
        for name, value in named(losses).items():
            self._rows.setdefault(name, []).append((step, value.float()))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def recent(self) -> dict[str, float]:
        """Return the last value of each loss in this process: for display alone."""
        return {name: row[-1][1].item() for name, row in self._rows.items()}

    def rows(self) -> dict[str, Row]:
        """Return all values; raises NonFiniteError for the first step and player whose loss is not finite."""
        rows = {name: self._numbers(row) for name, row in self._rows.items()}
        broken = [(step, name, value) for name, row in rows.items() for step, value in row if not math.isfinite(value)]
        if broken:
            raise non_finite(*min(broken, key=lambda item: item[0]))
        return rows

    def means(self) -> dict[str, float]:
        """Return the mean of each loss; raises NonFiniteError."""
        return {name: math.fsum(value for _, value in row) / len(row) for name, row in self.rows().items()}

    def _numbers(self, row: list[tuple[int, Tensor]]) -> Row:
        """Copy values from the device in one transfer; those of a resumed run are on the CPU."""
        device = row[-1][1].device
        values = self._processes.mean(torch.stack([value.to(device) for _, value in row])).tolist()
        return [(step, value) for (step, _), value in zip(row, values, strict=True)]


def non_finite(step: int, name: str, value: float, module: str = "") -> NonFiniteError:
    """Return the error for a loss `player/part` that is not finite at a step; module: the first with such an output, if known."""
    player, part = name.split("/", 1)
    where = f" (first non-finite output: module '{module}')" if module else ""
    return NonFiniteError(
        f"{part} of player '{player}' became {value} at step {step}{where}: training is stopped and the last checkpoint is kept. "
        "Try a lower --lr, --clip 100, or --precision float32"
    )


class Reports:
    """The file `reports.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record as one line, also after an incomplete line; raises Unwritable."""
        try:
            with self.path.open("ab+") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                is_complete = file.read(1) in (b"", b"\n")
                file.write((("" if is_complete else "\n") + json.dumps(record) + "\n").encode())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def sync(self) -> None:
        """Flush the file to disk, before a later checkpoint is written; raises Unwritable."""
        try:
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            sync_folder(self.path.parent)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def read(self) -> list[dict[str, Any]]:
        """Return all records; incomplete lines, which a crash can leave, are skipped."""
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        return [record for line in lines if (record := _parsed(line)) is not None]

    def forget_after(self, step: int) -> None:
        """Remove the records after a step, which a resumed run writes again."""
        kept = [json.dumps(record) for record in self.read() if record["step"] <= step]
        write_text(self.path, "".join(line + "\n" for line in kept))


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_record = isinstance(record, dict) and isinstance(record.get("step"), int) and isinstance(record.get("kind"), str)
    return record if is_record else None
