"""Make new images with a trained model.

The ending of --out decides the form: .png is one grid, .npz an array `images` (uint8, n x h x w x c), anything else a folder
of PNG files. Image k of a seed is the same however many are made.

Diffusion and flow models take --sampler, --steps, --guidance-scale and --precision; the defaults are those of the run's settings.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples(
    "simulacra sample runs/first",
    "simulacra sample runs/first --count 1000 --seed 7 --out samples.npz",
    "simulacra sample runs/first --count 100 --out samples/",
    "simulacra sample runs/conditional --label 7",
    "simulacra sample runs/diffusion --sampler ddim --steps 50",
    "simulacra sample runs/diffusion --label 7 --guidance-scale 2",
)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--count", type=int, default=64, metavar="N", help="images to make (default: 64)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the noise (default: 0)")
    parser.add_argument("--label", metavar="CLASS", help="the class to show, of a conditional model (default: all, by chance)")
    parser.add_argument("--sampler", metavar="NAME", help="how noise is refined: dpmpp-2m, ddim, heun, euler or ancestral")
    parser.add_argument("--steps", type=int, metavar="N", help="in how many steps")
    parser.add_argument("--guidance-scale", type=float, metavar="W", help="how decidedly images show their class; 1 as learned")
    parser.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), help="arithmetic of the network that refines (default: auto)"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="where to (default: RUN/pictures/samples.png)")


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Sample."""
    from simulacra.images.grid import save_images
    from simulacra.runs.generation import facts
    from simulacra.runs.opened import open_run

    trained = open_run(parsed.run, progress=console)
    choices = {name: getattr(parsed, name) for name in ("sampler", "steps", "guidance_scale", "precision")}
    given = {name: value for name, value in choices.items() if value is not None}
    plan = trained.plan(**given) if given else None
    images = trained.sample(parsed.count, parsed.seed, console, label=parsed.label, plan=plan)
    path = save_images(images, parsed.out or parsed.run / "pictures" / "samples.png")
    content = {"path": str(path), "count": len(images), "seed": parsed.seed, "label": parsed.label}
    if plan is not None:
        content |= facts(plan)
    console.result(content, lambda: f"{len(images):,} images in {path}")
    return 0
