"""Progress and pictures in notebooks, by IPython's display alone: no widgets."""

import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Any

from PIL.Image import Image

from simulacra.core.progress import Meter
from simulacra.interfaces.console import Lines

_EVERY = 0.5  # seconds between updates


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


def register_pictures(kind: type, pictured: Callable[[Any], str]) -> None:
    """Let notebooks display values of a type as the HTML that a function returns; without a notebook nothing is changed."""
    if (shell := notebook_shell()) is not None:
        shell.display_formatter.formatters["text/html"].for_type(kind, pictured)


def html_of(text: str, image: Image | None = None) -> str:
    """Return a text, and an image below it, as HTML."""
    lines = [f"<pre>{escape(text)}</pre>"]
    if image is not None:
        buffer = BytesIO()
        image.save(buffer, format="PNG")
        lines.append(f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">')
    return "\n".join(lines)


def _shower() -> Callable[[Lines], None]:
    """Return a function that displays a meter, and from then on updates what is displayed."""
    handles: list[Any] = []

    def show(meter: Lines) -> None:
        from IPython.display import HTML, display

        done = "" if meter.share is None else f'<progress value="{meter.share:.4f}" max="1"></progress> '
        content = HTML(f"<div>{done}<code>{escape(meter.line())}</code></div>")
        if handles:
            handles[0].update(content)
        else:
            handles.append(display(content, display_id=True))

    return show
