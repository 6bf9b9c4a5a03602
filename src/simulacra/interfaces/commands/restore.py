"""Fill in what a mask hides of test images, with a model that generates images.

--mask names what is missing (left, right, top, bottom or centre), or a picture of the images' size that is bright where pixels
are known. Each test image stands above what is known of it and above several ways to fill in the rest.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples(
    "simulacra restore runs/diffusion --mask bottom",
    "simulacra restore runs/diffusion --mask hole.png --draws 5 --count 12",
)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--mask", required=True, metavar="MASK", help="left, right, top, bottom, centre, or a picture file")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="test images (default: 8)")
    parser.add_argument("--draws", type=int, default=3, metavar="N", help="ways to fill in each (default: 3)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the choice and of the noise (default: 0)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where to (default: RUN/pictures/restorations.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Restore."""
    from simulacra.applications import galleries
    from simulacra.images import grid as pictures
    from simulacra.runs.opened import open_run

    trained = open_run(parsed.run, progress=console)
    rows = galleries.restorations(trained, parsed.mask, parsed.count, parsed.draws, parsed.seed)
    path = parsed.out or parsed.run / "pictures" / "restorations.png"
    path = pictures.save(pictures.picture_of_rows(rows, parsed.count), path)
    content = {"path": str(path), "mask": parsed.mask, "count": parsed.count, "draws": parsed.draws, "seed": parsed.seed}
    console.result(content, lambda: f"{parsed.count} test images, what is known of them, and {parsed.draws} fillings, in {path}")
    return 0
