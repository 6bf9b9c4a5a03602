"""Show the way between pairs of images, one pair a row: of test images, or of images made from noise.

A model that encodes images goes from one test image to another through its latent space. One that only makes images of noise,
as a GAN does, goes from the noise of one to the noise of another; with --between noise every model that samples does so.

The path is a straight line or an arc (--path linear or spherical). By default it is the arc where the prior is Gaussian, as
noise is, whose samples lie near a sphere, and the line elsewhere.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples(
    "simulacra interpolate runs/first",
    "simulacra interpolate runs/first --path linear --rows 4 --steps 15",
    "simulacra interpolate runs/first --between noise",
    "simulacra interpolate runs/conditional --label 7",
)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="pairs to join (default: 8)")
    parser.add_argument("--steps", type=int, default=11, metavar="N", help="images in a row, ends included (default: 11)")
    parser.add_argument("--path", choices=("auto", "linear", "spherical"), default="auto", help="line or arc (default: auto)")
    text = "what is joined (default: images where the model encodes them, else noise)"
    parser.add_argument("--between", choices=("images", "noise"), help=text)
    text = "the class to show, of a conditional model between noise (default: another in each row)"
    parser.add_argument("--label", metavar="CLASS", help=text)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed that chooses the pairs (default: 0)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where to (default: RUN/pictures/interpolations.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Interpolate."""
    from simulacra.applications import galleries
    from simulacra.images import grid as pictures
    from simulacra.runs.opened import open_run

    ways = galleries.Ways(parsed.rows, parsed.steps, parsed.seed, parsed.path, parsed.between, parsed.label)
    images, between = galleries.interpolations(open_run(parsed.run, progress=console), ways)
    path = pictures.save(pictures.picture_of(images, parsed.steps), parsed.out or parsed.run / "pictures" / "interpolations.png")
    content = {
        "path": str(path),
        "rows": ways.rows,
        "steps": ways.steps,
        "between": between,
        "seed": ways.seed,
        "label": ways.label,
    }
    console.result(content, lambda: f"{ways.rows} interpolations between {between} in {path}")
    return 0
