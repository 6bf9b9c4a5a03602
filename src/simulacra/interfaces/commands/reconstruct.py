"""Show images and what the model makes of them, row above row.

Test images are used unless --input names a folder, an archive or a picture of your own; those are fitted to the model's size.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra reconstruct runs/first", "simulacra reconstruct runs/first --input photos/ --out mine.png")


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--count", type=int, default=32, metavar="N", help="images to show (default: 32)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed that chooses the test images (default: 0)")
    parser.add_argument("--input", type=Path, metavar="PATH", help="images of your own instead of test images")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where to (default: RUN/pictures/reconstructions.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Reconstruct."""
    from simulacra.applications import galleries
    from simulacra.data.load import images_like
    from simulacra.images import grid as pictures
    from simulacra.runs.opened import open_run

    trained = open_run(parsed.run, progress=console)
    if parsed.input:
        images = images_like(parsed.input, trained.spec, parsed.count)
    else:
        images = galleries.test_images(trained, parsed.count, parsed.seed)
    reconstructed = trained.reconstruct(images)
    picture = pictures.picture_of_pairs(images, reconstructed, 8)
    path = pictures.save(picture, parsed.out or parsed.run / "pictures" / "reconstructions.png")
    error = float(((reconstructed - images) ** 2).mean())
    content = {"path": str(path), "count": len(images), "mse": error}
    console.result(content, lambda: f"{len(images)} originals, each above its reconstruction, in {path} (their mse: {error:.4g})")
    return 0
