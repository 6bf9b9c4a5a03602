"""Progress reports of long tasks; interfaces decide how they are displayed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Meter(Protocol):
    """The progress of one task."""

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Report `amount` more units as done; `facts`, if any, replace those displayed beside the bar."""


class Progress(Protocol):
    """The receiver of progress reports and messages."""

    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> AbstractContextManager[Meter]:
        """Open a meter for `total` units (None: unknown) of which `start` are done; it closes with the context."""

    def message(self, message: str) -> None:
        """Display one line."""


class _SilentMeter:
    def advance(self, amount: int = 1, **facts: str) -> None:
        """Do nothing."""


NO_METER = _SilentMeter()


class Silent:
    """A Progress without output: the default of the Python API."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Open a meter without output."""
        yield NO_METER

    def message(self, message: str) -> None:
        """Do nothing."""


SILENT = Silent()
