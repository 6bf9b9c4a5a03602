"""What the engine's arithmetic does to the quality of a model: the same training, seed by seed, in each arithmetic.

    python benchmarks/quality.py recipes/vae-mnist.toml [--limit 10000] [--for 5ep] [--seeds 8] [--threads 1] [--without-stock]

Runs of one seed share the initial weights, the order of the images and every random draw, so that differences are taken in
pairs. Each run trains the recipe through the real engine; what is reported is the loss of the averaged weights on all validation
images, computed in float32 with the same draws for all: nats for a VAE, mean squared error for an autoencoder. The losses of a
game say nothing of its images: there it is the Fréchet distance of 5,000 generated images to the validation images, in the
features of the toolkit's own extractor; for translators between a source and a look of it, the mean squared error of translated
validation images. Test images are not touched. Before that, the gradient of the first step is compared, in which nothing has had
time to grow.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy import stats
from stock import stock_transposed
from torch import Tensor, nn

from simulacra import families
from simulacra.core.batch_source import BatchSource, UnpairedBatches
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Family
from simulacra.core.progress import SILENT
from simulacra.core.randomness import derive, noise, reseed, stream
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset, levels
from simulacra.data.load import load
from simulacra.data.synthetic.transforms import transform_between
from simulacra.engine import hardware
from simulacra.engine.loop import Trainer
from simulacra.features.loading import default_extractor, load_extractor
from simulacra.games.adversarial import SamplesFromGenerator
from simulacra.metrics.statistics.frechet import frechet_distance
from simulacra.metrics.statistics.moments import blocked_moments
from simulacra.networks import same_padding as same
from simulacra.networks.kernels import memory_layout as layout
from simulacra.runs.settings import RunConfig, read_recipe, resolve

STOCK, OWN, DEFAULT = "float32, stock layers and layout", "float32", "bfloat16"
ARITHMETICS = (STOCK, OWN, DEFAULT)
GENERATED = 5000  # images


class Silent:
    """An observer that looks at nothing."""

    def on_step(self, trainer):
        pass

    def on_report(self, trainer, record):
        pass

    def on_snapshot(self, trainer):
        pass

    def on_checkpoint(self, trainer, state):
        pass


@contextmanager
def arithmetic(name: str) -> Iterator[None]:
    """Inside, networks have PyTorch's own transposed convolution and memory layout if the name says so."""
    if name != STOCK:
        yield
        return
    untouched = mock.patch("simulacra.engine.loop.channels_last")
    unflattened = mock.patch.object(layout.Unflatten, "forward", nn.Unflatten.forward)
    with untouched, unflattened, mock.patch.object(same, "conv_transpose2d", stock_transposed):
        yield


def trainer(config: RunConfig, data: Dataset, name: str, seed: int) -> Trainer:
    """Return a training in one arithmetic; its initial weights, batches and draws depend on the seed alone."""
    settings = replace(config.train, seed=seed, precision="bfloat16" if name == DEFAULT else "float32")
    with stream(seed, "initialize"):
        return Trainer(config.new_family(data.spec), batch_source(data, settings.batch, seed, name), settings)


def batch_source(data: Dataset, batch: int, seed: int, name: str) -> BatchSource:
    if not data.domains:
        return Batches(data.train, batch, seed, channels_last=name != STOCK)
    return UnpairedBatches(
        {domain: batch_source(own, batch, derive(seed, "domain", domain), name) for domain, own in data.domains.items()}
    )


def first_gradient(config: RunConfig, data: Dataset, name: str) -> Tensor:
    """Return the gradients of the first step, of every player along its own parameters, as one vector."""
    with arithmetic(name):
        training = trainer(config, data, name, 0)
        gradients: list[Tensor] = []
        for index, turn in enumerate(training.turns):
            reseed(0, "step", 0, index, 0, 0)
            with torch.autocast("cpu", training.precision, enabled=name == DEFAULT):
                losses = turn.losses(training.batch_source.batch(0))
            for player, loss in losses.items():
                gradients += torch.autograd.grad(loss.total, training.parameters[player], retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients])


def score(config: RunConfig, data: Dataset, name: str, seed: int) -> float:
    """Train, and return how good the averaged weights are; less is better."""
    with arithmetic(name):
        training = trainer(config, data, name, seed)
        training.run(Silent())
    return MEASURES[what(config)](training.evaluated, data)


def what(config: RunConfig) -> str:
    """Return what is measured of a family: a name in MEASURES."""
    family = families.find(config.family)
    if family.domains:
        return "error of translations of validation images"
    return "distance to validation images" if issubclass(family, SamplesFromGenerator) else "validation loss"


def validation_loss(family: Family, data: Dataset) -> float:
    """Return the first logged part of the loss, a mean over all validation images, in float32."""
    (turn,) = family.turns()
    total = 0.0
    with stream(0, "quality"), inference_mode(family):
        for batch in data.validation.chunks(250):
            (loss,) = turn.losses(batch).values()
            total += next(iter(loss.parts.values())).item() * len(batch)
    return total / len(data.validation)


def distance(family: Family, data: Dataset) -> float:
    """Return the Fréchet distance of generated images, in 256 levels, to the validation images."""
    extractor = load_extractor(default_extractor(data.spec), data, 0, SILENT)
    with SILENT.task("", None, "") as meter:
        real = extractor.embed(data.validation, meter).features
        with inference_mode(family):
            made = [levels(family.generate(noise(0, at, 250, family.noise_shape))) for at in range(0, GENERATED, 250)]
        features = torch.cat([extractor.embed(images, meter).features for images in made])
        return frechet_distance(blocked_moments(features), blocked_moments(real), meter).value


def translation_error(family: Family, data: Dataset) -> float:
    """Return the mean squared error of translations, in 256 levels, to the known answers, a mean over both directions."""
    a, b = data.domains.values()
    if not transform_between(a, b):
        sys.exit("the domains are not a source and a look of it: nothing is known of the right translations")
    errors = []
    with inference_mode(family):
        for pairs in zip(a.validation.chunks(250), b.validation.chunks(250), strict=True):
            for start, answer, to in zip(pairs, reversed(pairs), ("b", "a"), strict=True):
                errors.append((levels(family.translate(start.images, to)) - answer.images).square().mean((1, 2, 3)))
    return torch.cat(errors).mean().item()


MEASURES = {
    "validation loss": validation_loss,
    "distance to validation images": distance,
    "error of translations of validation images": translation_error,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--for", dest="duration", default="5ep")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-stock", action="store_true", help="leave out stock layers, the slowest of the three")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    hardware.keep_memory()
    config = resolve(read_recipe(parsed.recipe), {"limit": parsed.limit, "duration": parsed.duration})
    data = load(config.data)
    report_gradients(config, data)
    chosen = ARITHMETICS[1:] if parsed.without_stock else ARITHMETICS
    losses: dict[str, list[float]] = {name: [] for name in chosen}
    for seed in range(parsed.seeds):
        for name in chosen:
            losses[name].append(score(config, data, name, seed))
            print(f"{parsed.recipe.stem}, seed {seed}, {name}: {losses[name][-1]:.6g}", file=sys.stderr, flush=True)
    print(f"\n{parsed.recipe.stem}: {parsed.seeds} seeds, {len(data.train):,} images, {parsed.duration}\n")
    report(losses, what(config))


def report_gradients(config: RunConfig, data: Dataset) -> None:
    expected = first_gradient(config, data, STOCK)
    for name in (OWN, DEFAULT):
        difference = (first_gradient(config, data, name) - expected).norm() / expected.norm()
        print(f"first gradient, {name}: differs from {STOCK} by {difference:.1e} of its norm")


def report(losses: dict[str, list[float]], what: str) -> None:
    print(f"| arithmetic | {what}, mean over seeds (standard deviation) | minus float32, in pairs (95 % interval) |")
    print("|---|---|---|")
    for name, values in losses.items():
        mean, spread = np.mean(values), np.std(values, ddof=1)
        difference = interval(np.subtract(values, losses[OWN])) if name != OWN else ""
        print(f"| {name} | {mean:.6g} ({spread:.2g}) | {difference} |")


def interval(differences: np.ndarray) -> str:
    """Return mean and 95 % interval of paired differences (Student's t)."""
    error = differences.std(ddof=1) / np.sqrt(len(differences)) * stats.t.ppf(0.975, len(differences) - 1)
    return f"{differences.mean():+.2g} ({differences.mean() - error:+.2g} to {differences.mean() + error:+.2g})"


if __name__ == "__main__":
    main()
