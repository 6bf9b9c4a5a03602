"""The progress display of the Python API: that of the terminal or of the notebook, for tasks that take longer than a second."""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import update_wrapper
from pathlib import Path
from typing import ParamSpec, TypeVar

from simulacra.core.progress import SILENT, Meter, Progress
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.display.notebook import NotebookProgress, TrainingProgress, notebook_shell

_PATIENCE = 1.0  # seconds

P = ParamSpec("P")
T = TypeVar("T")


def progress_of(given: Progress | None, quiet: bool) -> Progress:
    """Return the Progress that is given, one without output if `quiet`, otherwise that of the terminal or the notebook."""
    if given is not None or quiet:
        return given or SILENT
    return Patient(Console() if notebook_shell() is None else NotebookProgress())


def progress_of_training(shown: Progress, run: Path) -> Progress:
    """Return the Progress of a training into the folder `run`: in notebooks the default one displays its curves as well."""
    is_default = isinstance(shown, Patient)
    return TrainingProgress(shown, run) if is_default and notebook_shell() is not None else shown


def with_default_progress(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function whose argument `progress`, unless it is given, is that of the terminal or the notebook."""
    signature = inspect.signature(function)

    def shown(*args: P.args, **kwargs: P.kwargs) -> T:
        if "progress" not in signature.bind_partial(*args, **kwargs).arguments:
            kwargs["progress"] = progress_of(None, quiet=False)
        return function(*args, **kwargs)

    return update_wrapper(shown, function)


class Patient:
    """A Progress that passes on every message, and of the tasks those that take longer than a second."""

    def __init__(self, shown: Progress, patience: float = _PATIENCE) -> None:
        self._shown, self._patience = shown, patience
        self._tasks: list[_Task] = []

    def message(self, message: str) -> None:
        """Pass on a line."""
        self._shown.message(message)

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Open a meter that is displayed after a second; the tasks around it are displayed before it."""
        with ExitStack() as opened:

            def begin(done: int) -> Meter:
                return opened.enter_context(self._shown.task(label, total, unit, start + done))

            task = _Task(begin, self._begin_all, time.monotonic() + self._patience)
            self._tasks.append(task)
            try:
                yield task
            finally:
                self._tasks.remove(task)

    def _begin_all(self) -> None:
        for task in self._tasks:
            task.begin()


class _Task:
    """A meter that holds back what is reported until it is due."""

    def __init__(self, begin: Callable[[int], Meter], begin_all: Callable[[], None], due: float) -> None:
        self._begin, self._begin_all, self._due = begin, begin_all, due
        self._meter: Meter | None = None
        self._amount, self._facts = 0, dict[str, str]()

    def begin(self) -> None:
        """Display the task from what is done now on, so that its speed is right."""
        if self._meter is None:
            self._meter = self._begin(self._amount)
            self._meter.advance(0, **self._facts)

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Report `amount` more units as done."""
        if self._meter is not None:
            self._meter.advance(amount, **facts)
            return
        self._amount, self._facts = self._amount + amount, facts or self._facts
        if time.monotonic() >= self._due:
            self._begin_all()
