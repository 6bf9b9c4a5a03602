"""Show what each latent dimension does: one row for each, from low to high, all others kept.

Rows are ordered by how much their latent varies over the data, most first; rows that do not change are latents unused.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra traverse runs/first", "simulacra traverse runs/first --image 5 --reach 2")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--image", type=int, default=0, metavar="N", help="number of the test image to start from (default: 0)")
    parser.add_argument("--steps", type=int, default=11, metavar="N", help="images in a row (default: 11)")
    parser.add_argument("--reach", type=float, default=3.0, metavar="X", help="standard deviations to go each way (default: 3)")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where to (default: RUN/pictures/traversal.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Traverse."""
    import numpy as np

    from simulacra.core.errors import UsageError
    from simulacra.images import grid as pictures
    from simulacra.runs.opened import open_run

    trained = open_run(parsed.run, progress=console)
    count = len(trained.dataset.test)
    if not 0 <= parsed.image < count:
        raise UsageError(f"image is {parsed.image}, expected between 0 and {count - 1}, the images in the test set")
    if parsed.steps < 2:
        raise UsageError(f"steps is {parsed.steps}, expected at least 2: the two ends")
    image = trained.dataset.test.batch(np.array([parsed.image])).images[0]
    images = trained.traverse(image, parsed.steps, parsed.reach)
    picture = pictures.picture_of(images.flatten(0, 1), parsed.steps)
    path = pictures.save(picture, parsed.out or parsed.run / "pictures" / "traversal.png")
    console.result({"path": str(path), "latents": len(images)}, lambda: f"{len(images)} latents, one a row, in {path}")
    return 0
