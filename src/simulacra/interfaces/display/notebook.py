"""Progress and pictures in notebooks, by IPython's display alone: no widgets."""

import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from simulacra.core.progress import Meter, Progress
from simulacra.images.animation import step_text
from simulacra.interfaces.display.console import Lines
from simulacra.reports.curves import losses_plot
from simulacra.reports.page import EmbeddedImage, embed
from simulacra.reports.plots import Plots
from simulacra.runs.run import Run
from simulacra.training.train import TRAINING

_EVERY = 0.5  # seconds between updates
_SHARE = 0.01  # of the time that drawing the curves of a training may take
_MONOSPACED = "font-family: monospace; white-space: pre-wrap"  # also where a notebook is displayed as a page
_WIDEST = 480  # pixels of the images beside the curves


def notebook_shell() -> Any:
    """Return the IPython shell of a notebook; None in a terminal or a program."""
    found = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return found if getattr(found, "kernel", None) is not None else None


class NotebookProgress:
    """A Progress that displays each task as a bar, which is updated in place, and each message as a line."""

    def message(self, message: str) -> None:
        """Print one line."""
        print(message, flush=True)

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Display a bar at the first update."""
        meter = Lines(label, total, unit, start, show=_shower(), first=0, every=_EVERY)
        yield meter
        meter.close()


class TrainingProgress:
    """A Progress that displays, below the bar of a training, the losses of its run and the images that it saved last.

    shown: displays everything else. run: the folder of the run, which need not exist yet.
    """

    def __init__(self, shown: Progress, run: Path) -> None:
        self._shown, self._run = shown, Run(run)

    def message(self, message: str) -> None:
        """Pass on a line."""
        self._shown.message(message)

    @contextmanager
    def task(self, label: str, total: int | None, unit: str, start: int = 0) -> Iterator[Meter]:
        """Display the bar of the training at the first update, and its curves; pass on every other task."""
        if label != TRAINING:
            with self._shown.task(label, total, unit, start) as passed_on:
                yield passed_on
            return
        show_bar, curves = _shower(), _LiveCurves(self._run)

        def show(meter: Lines) -> None:
            show_bar(meter)
            curves.update()

        meter = Lines(label, total, unit, start, show=show, first=0, every=_EVERY)
        try:
            yield meter
        finally:
            meter.close()
            curves.update(at_once=True)


class _LiveCurves:
    """The curves of a run and its last images, displayed below what is displayed now, from the files in its folder."""

    def __init__(self, run: Run) -> None:
        self._run, self._display = run, _display_in_place()
        self._next, self._displayed = 0.0, (0, "")

    def update(self, at_once: bool = False) -> None:
        """Display what is new; unless `at_once` not more often than twice a second, and in at most a hundredth of the time."""
        began = time.monotonic()
        if not at_once and began < self._next:
            return
        reports, last = self._run.reports.path, self._run.last_snapshot
        state = (reports.stat().st_size if reports.exists() else 0, str(last))
        if state != self._displayed and (drawn := losses_plot(self._run.reports.read())):
            self._displayed = state
            self._display(Plots([drawn], _embedded(last) if last else None)._repr_html_())
        self._next = time.monotonic() + max(_EVERY, (time.monotonic() - began) / _SHARE)


def register_pictures(kind: type, pictured: Callable[[Any], str]) -> None:
    """Let notebooks display values of a type as the HTML that a function returns; without a notebook nothing is changed."""
    if (shell := notebook_shell()) is not None:
        shell.display_formatter.formatters["text/html"].for_type(kind, pictured)


def html_of(text: str, image: Image.Image | None = None) -> str:
    """Return a text, and an image below it, as HTML."""
    lines = [f'<pre style="{_MONOSPACED}">{escape(text)}</pre>']
    if image is not None:
        buffer = BytesIO()
        image.save(buffer, format="PNG")
        lines.append(f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">')
    return "\n".join(lines)


def _embedded(path: Path) -> EmbeddedImage | None:
    """Return a saved image, shrunk where it is large, labelled by what it shows and its step; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            small = image.resize((_WIDEST, round(image.height * _WIDEST / image.width))) if image.width > _WIDEST else image
            name = f"{path.parent.name.replace('_', ' ')} at {step_text(path)}"
            return embed(small, name, name)
    except (OSError, ValueError, SyntaxError):  # a damaged file as Pillow reports it
        return None


def _shower() -> Callable[[Lines], None]:
    """Return a function that displays a meter, and from then on updates what is displayed."""
    show = _display_in_place()

    def show_meter(meter: Lines) -> None:
        done = "" if meter.share is None else f'<progress value="{meter.share:.4f}" max="1"></progress> '
        show(f"<div>{done}<code>{escape(meter.line())}</code></div>")

    return show_meter


def _display_in_place() -> Callable[[str], None]:
    """Return a function that displays HTML, and from then on replaces it."""
    handles: list[Any] = []

    def show(html: str) -> None:
        from IPython.display import HTML, display

        if handles:
            handles[0].update(HTML(html))
        else:
            handles.append(display(HTML(html), display_id=True))

    return show
