"""Progress on standard error: bars on a terminal, otherwise lines; and results on standard output."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulacra.core.launch import launched
from simulacra.core.progress import NO_METER, Meter
from simulacra.core.text import printable, quoted

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_FIRST_LINE, _NEXT_LINES = 2.0, 10.0  # seconds between plain lines
_WIDE, _NARROW = 100, 60  # columns of a terminal from which the rate is displayed, and below which the bar is not


class Console:
    """A Progress that prints. With `as_json`, the result of a command is one JSON object on standard output.

    Of several processes that torchrun started, only the first prints.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._prints = launched().first
        self._bars: Bars | None = None

    def message(self, message: str) -> None:
        """Print one line."""
        if self._prints and self._bars is not None:
            self._bars.console.print(printable(message), highlight=False, markup=False)
        elif self._prints:
            _print_line(message)

    def result(self, content: Any, text: Callable[[], str]) -> None:
        """Print the result of a command: JSON, or a text."""
        if self._prints:
            print(json.dumps(content, allow_nan=False) if self.as_json else printable(text()), flush=True)

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Display a bar on a terminal, otherwise print a line at intervals."""
        if not self._prints:
            yield NO_METER
            return
        if not sys.stderr.isatty():
            meter = Lines(label, total, unit, start)
            yield meter
            meter.close()
            return
        outer = self._bars
        with nullcontext(outer) if outer is not None else _bars() as self._bars:
            try:
                yield _Bar(self._bars, self._bars.add_task(label, total=total, completed=start, unit=unit, facts=""))
            finally:
                self._bars = outer


class _Bar:
    """A meter on a terminal."""

    def __init__(self, bars: "Bars", task: Any) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: int = 1, **facts: str) -> None:
        fields: dict[str, Any] = {"facts": _join(facts)} if facts else {}
        self._bars.update(self._task, advance=amount, **fields)


class Lines:
    """A meter that shows a line at intervals: after `first` seconds, then every `every` seconds, and at its end.

    show: what shows it; by default its line is printed to standard error.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        unit: str,
        start: int,
        *,
        show: "Callable[[Lines], None]" = lambda meter: _print_line(meter.line()),
        first: float = _FIRST_LINE,
        every: float = _NEXT_LINES,
    ) -> None:
        self._show, self._every = show, every
        self._label, self._total, self._unit = label, total, unit
        self._done, self._start, self._facts = start, start, ""
        self._began = time.monotonic()
        self._next = self._began + first

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Report `amount` more units as done; `facts`, if any, replace those of the line."""
        self._done += amount
        self._facts = _join(facts) if facts else self._facts
        if time.monotonic() >= self._next:
            self._show(self)
            self._next = time.monotonic() + self._every

    def close(self) -> None:
        """Show the last line, unless nothing was done."""
        if self._done > self._start:
            self._show(self)

    @property
    def share(self) -> float | None:
        """Fraction that is done, in [0, 1]; None where the total is not known."""
        return min(1.0, self._done / self._total) if self._total else None

    def line(self) -> str:
        """Return label, count, speed, remaining time and facts."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (self._done - self._start) / seconds
        of = f"/{self._total:,}" if self._total else ""
        left = f", {_clock((self._total - self._done) / rate)} left" if self._total and rate and self._done < self._total else ""
        facts = f", {self._facts}" if self._facts else ""
        speed = "" if self._unit == "seconds" else f" in {_clock(seconds)}, {rate:,.1f}/s"
        return f"{self._label}: {self._done:,}{of} {self._unit}{speed}{left}{facts}"


def program() -> str:
    """Return the command that starts the program: its name where it is on the path, otherwise as it was called."""
    called = Path(sys.argv[0])
    return quoted(called) if called.name == "simulacra" and not shutil.which("simulacra") else "simulacra"


def _print_line(line: str) -> None:
    """Print to standard error; ignores a closed pipe."""
    with suppress(BrokenPipeError):
        print(printable(line), file=sys.stderr, flush=True)


def _join(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def fitting_facts(facts: str, width: int) -> str:
    """Return the first of several facts, separated by commas, that fit into a width; the first one is cut if it does not.

    >>> fitting_facts("loss 0.123, validation 0.2, images 900/s", 28)
    'loss 0.123, validation 0.2'
    """
    names = facts.split(", ")
    while len(names) > 1 and len(", ".join(names)) > width:
        names.pop()
    return ", ".join(names)[: max(0, width)]


def _bars() -> "Bars":
    from rich.console import Console as Terminal
    from rich.console import ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            if task.fields["unit"] == "seconds":
                return Text("s")
            return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "")

    class Fitting:
        """As many facts as fit into the rest of the line, the most important ones first."""

        def __init__(self, facts: str) -> None:
            self.facts = facts

        def __rich_console__(self, console: Terminal, options: ConsoleOptions) -> RenderResult:
            yield Text(fitting_facts(self.facts, options.max_width), no_wrap=True)

        def __rich_measure__(self, console: Terminal, options: ConsoleOptions) -> Measurement:
            shortest = len(self.facts.partition(", ")[0])
            return Measurement(min(shortest, options.max_width), min(len(self.facts), options.max_width))

    class Facts(ProgressColumn):
        """The facts of a task."""

        def render(self, task: Task) -> Fitting:
            return Fitting(task.fields["facts"])

    terminal = Terminal(stderr=True)
    wide, narrow = terminal.width >= _WIDE, terminal.width < _NARROW
    columns = (
        TextColumn("{task.description}"),
        *(() if narrow else (BarColumn(bar_width=16 if wide else 8),)),
        MofNCompleteColumn(),
        *((Rate(),) if wide else ()),
        *(() if narrow else (TimeRemainingColumn(elapsed_when_finished=True),)),
        Facts(table_column=Column(ratio=1, no_wrap=True)),
    )
    return Progress(*columns, console=terminal, expand=True)
