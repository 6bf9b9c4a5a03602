"""How long work speaks: tasks tell a Progress, interfaces decide what a person sees."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Meter(Protocol):
    """One piece of work under way."""

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Say that `amount` more units are done; `facts`, if any, replace those shown beside the bar."""


class Progress(Protocol):
    """Where work reports to. Only interfaces print."""

    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> AbstractContextManager[Meter]:
        """Open a meter for `total` units (None: unknown) of which `start` are done; it closes with the context."""

    def message(self, message: str) -> None:
        """Tell the user one line."""


class _SilentMeter:
    def advance(self, amount: int = 1, **facts: str) -> None:
        """Do nothing."""


class Silent:
    """A Progress that says nothing: the default of the Python API."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Open a meter that nobody reads."""
        yield _SilentMeter()

    def message(self, message: str) -> None:
        """Say nothing."""


SILENT = Silent()
