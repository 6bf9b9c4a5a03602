"""Show the way between pairs of test images through the latent space, one pair a row.

The path is a straight line or an arc (--path linear or spherical). By default it is the arc where the prior is Gaussian,
whose samples lie near a sphere, and the line elsewhere.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra interpolate runs/first", "simulacra interpolate runs/first --path linear --rows 4 --steps 15")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="pairs to join (default: 8)")
    parser.add_argument("--steps", type=int, default=11, metavar="N", help="images in a row, ends included (default: 11)")
    parser.add_argument("--path", choices=("auto", "linear", "spherical"), default="auto", help="line or arc (default: auto)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed that chooses the pairs (default: 0)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where to (default: RUN/pictures/interpolations.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Interpolate."""
    from simulacra.core.errors import UsageError
    from simulacra.tasks import galleries, pictures
    from simulacra.tasks.trained import open_run

    if parsed.steps < 2:
        raise UsageError(f"steps is {parsed.steps}, expected at least 2: the two ends")
    images = galleries.interpolations(open_run(parsed.run, progress=console), parsed.rows, parsed.steps, parsed.seed, parsed.path)
    path = pictures.save(pictures.picture_of(images, parsed.steps), parsed.out or parsed.run / "pictures" / "interpolations.png")
    content = {"path": str(path), "rows": parsed.rows, "steps": parsed.steps}
    console.result(content, lambda: f"{parsed.rows} interpolations in {path}")
    return 0
