"""Chapter 10: Fréchet distances of the recipes, and the distance of real images by their number."""

import json
from pathlib import Path

from chart import Axis, bars, lines
from measures import data, frechet
from trained import vae_mnist

COUNTS = (200, 500, 1000, 2000, 5000, 10_000)
RECIPES = {
    "vae-dense-mnist": "VAE, dense",
    "vae-mnist": "VAE",
    "conv-gan-mnist": "GAN, convolutional",
    "gan-mnist": "GAN, dense",
    "vae-gan-mnist": "VAE-GAN",
    "dcgan-mnist": "DCGAN",
    "wgan-gp-mnist": "WGAN-GP",
    "diffusion-mnist": "diffusion, with labels",
    "flow-mnist": "flow matching, with labels",
}


def recipes() -> None:
    """Draw the distances stored with docs/reference/results.md: the mean over the seeds of a recipe."""
    rows = {row["name"]: row for row in json.loads(Path("docs/reference/results.json").read_text())}
    found = {label: rows[recipe]["metrics"]["frechet_distance"]["value"] for recipe, label in RECIPES.items()}
    for recipe, label in RECIPES.items():
        print(f"{label}: {found[label]:.2f}, {len(rows[recipe]['seeds'])} seeds")
    bars("course-results", "Fréchet distance of 10,000 samples, MNIST", found, "smaller is better; training images: 0.29")


def counts() -> None:
    """Draw the distance from the test images of different numbers of training images and of samples of a VAE."""
    sets = {
        "samples of the VAE": vae_mnist().sample(max(COUNTS)),
        "training images": data("mnist").train.head(max(COUNTS)).images,
    }
    series: dict[str, list[tuple[float, float]]] = {}
    for name, images in sets.items():
        series[name] = []
        for count in COUNTS:
            found = frechet(images[:count], "mnist")
            series[name].append((count, found.value))
            print(f"{count:,} {name}: Fréchet distance {found.value:.2f} +- {found.standard_error:.2f}")
    x = Axis("number of images (logarithmic)", COUNTS[0], COUNTS[-1], COUNTS, log=True)
    y = Axis("Fréchet distance (logarithmic)", 0.2, 100, (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100), log=True)
    lines("course-measuring-counts", "Distance from 10,000 test images of MNIST", series, x, y)


recipes()
counts()
