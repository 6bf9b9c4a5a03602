"""Translate pictures from one domain of a model into the other, as cyclegan learns it.

--input names a picture, a folder or an archive: each picture becomes a PNG file under its own name. Pictures are fitted to the
size that the model was trained on. Without --input, test images are shown there and back, row above row.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

EXAMPLES = examples(
    "simulacra translate runs/seasons --to b",
    "simulacra translate runs/seasons --to b --input summer/ --out winter/",
    "simulacra translate runs/seasons --to a --input snow.jpg --out grass.png",
)
_SHOWN = 16  # test images in a picture


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="the domain to translate into, such as b")
    parser.add_argument("--input", type=Path, metavar="PATH", help="pictures of the other domain: a file, folder or archive")
    parser.add_argument("--out", type=Path, metavar="PATH", help="where to: a folder, or a .png file (default: in RUN/pictures)")
    parser.add_argument("--count", type=int, metavar="N", help=f"images at most (default: all, or {_SHOWN} test images)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed that chooses the test images (default: 0)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Translate."""
    from simulacra.applications.translate import Order, translate_files
    from simulacra.core.errors import UsageError
    from simulacra.runs.opened import open_run

    if parsed.count is not None and parsed.count < 1:
        raise UsageError(f"count is {parsed.count}, expected at least 1")
    trained = open_run(parsed.run, progress=console)
    if parsed.input is None:
        return _show(trained, parsed, console)
    written = translate_files(trained, Order(parsed.to, parsed.input, parsed.out, parsed.count or 0), console)
    if written.skipped:
        console.message(f"skipped {written.skipped:,} files, such as {written.reason}")
    content = {"path": str(written.path), "to": parsed.to, "count": written.count, "skipped": written.skipped}
    console.result(content, lambda: f"{written.count:,} images translated to {parsed.to}, in {written.path}")
    return 0


def _show(trained: "OpenedRun", parsed: argparse.Namespace, console: Console) -> int:
    """Draw test images, their translations, and what these are translated back to."""
    from simulacra.applications import galleries
    from simulacra.images import grid as pictures

    journey = galleries.journey(trained, parsed.to, parsed.count or _SHOWN, parsed.seed)
    path = pictures.save(pictures.picture_of_rows(journey, 8), parsed.out or parsed.run / "pictures" / f"to_{parsed.to}.png")
    error = float(((journey[2] - journey[0]) ** 2).mean())
    content = {"path": str(path), "to": parsed.to, "count": len(journey[0]), "returned_mse": error}
    text = f"{len(journey[0])} test images, each above its translation to {parsed.to} and what that returns to, in {path}"
    console.result(content, lambda: f"{text} (their mse: {error:.4g})")
    return 0
