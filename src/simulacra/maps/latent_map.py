"""A map of the latents of test images: which images, their latents, projections, and how faithful each of these is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, require
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import permutation
from simulacra.data.dataset import Split
from simulacra.maps.faithfulness import NEIGHBOURS, Faithfulness, check_count, faithfulness, knn_accuracy
from simulacra.maps.projection import NAMES, PERPLEXITY, Method, Projection, check_pacmap, check_perplexity, project
from simulacra.runs.latent_space import encode, latent_condition
from simulacra.runs.opened import OpenedRun

POINTS = 3000  # test images by default


@dataclass(frozen=True, repr=False)
class LatentMap:
    """Maps of the latents of test images.

    indices: int64 [n], numbers of the images in the test set, ascending; latents: float32 [n d]; classes: int64 [n] or None;
    maps: each projection with its faithfulness; latent_accuracy: nearest-neighbour accuracy in the latents, None without classes.
    """

    indices: NDArray[np.int64]
    latents: NDArray[np.float32]
    classes: NDArray[np.int64] | None
    maps: tuple[tuple[Projection, Faithfulness], ...]
    latent_accuracy: float | None

    def table(self) -> dict[str, Any]:
        """Return the protocol and the measurements as plain values."""
        measured = {item.method: {**item.protocol, **vars(found)} for item, found in self.maps}
        protocol = {"points": len(self.indices), "latent_dim": self.latents.shape[1], "k": NEIGHBOURS}
        return {**protocol, "latents_knn_accuracy": self.latent_accuracy, "maps": measured}

    def summary(self) -> str:
        """Return the measurements of all maps, one line each."""
        table = self.table()
        accuracy = f"{table['k']}-NN accuracy"
        lines = [f"{table['points']:,} test images, {table['latent_dim']} latents, k = {table['k']}"]
        if self.latent_accuracy is not None:
            lines[0] += f", {accuracy} in the latents {self.latent_accuracy:.3f}"
        for item, measured in self.maps:
            texts = [f"trustworthiness {measured.trustworthiness:.3f}", f"continuity {measured.continuity:.3f}"]
            if measured.knn_accuracy is not None:
                texts.append(f"{accuracy} {measured.knn_accuracy:.3f}")
            texts += [f"{name} {value:.4g}" for name, value in item.protocol.items()]
            lines.append(f"{NAMES[item.method]}: {', '.join(texts)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<LatentMap: {self.summary()}>"


def choose_points(split: Split, count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of `count` images of a split in ascending order, chosen by the seed; 0: 3,000, or all where fewer.

    Raises UsageError for more images than there are, or too few for a map, DataError where there are too few.
    """
    count = count or min(POINTS, len(split))
    if count > len(split):
        raise UsageError(f"points is {count}, expected at most {len(split)}, the number of images in the test set")
    if len(split) < (least := 2 * NEIGHBOURS + 1):
        raise DataError(f"a map needs {least} test images, and the data have {len(split)}: train on data with more images")
    check_count(count)
    return np.sort(permutation(len(split), seed, "latent map")[:count])


def default_methods(latent_dim: int) -> tuple[Method, ...]:
    """Return the maps by default: the latents themselves where there are at most two, otherwise t-SNE and PCA."""
    return ("latents",) if latent_dim <= 2 else ("tsne", "pca")


def latent_map(
    opened: OpenedRun,
    methods: Sequence[Method] = (),
    points: int = 0,
    seed: int = 0,
    *,
    perplexity: float = 0.0,
    progress: Progress = SILENT,
) -> LatentMap:
    """Return maps of the latents of test images, a function of the model and the arguments.

    methods: by default those of `default_methods`; points: number of test images, chosen by the seed, 0 for at most 3,000;
    perplexity: of t-SNE, 0 for 30, or a third of the other points where these are fewer.
    Raises NotApplicable, UsageError; SimulacraError for latents that are all equal or not finite.
    """
    split = opened.dataset.test
    indices = choose_points(split, points, seed)
    model = require(opened.model, AMORTIZED_LATENT_SPACE, "a latent map")
    methods = tuple(methods) or default_methods(model.latent_dim)
    perplexity = perplexity or min(PERPLEXITY, (len(indices) - 1) / 3)
    if "tsne" in methods:
        check_perplexity(perplexity, len(indices))
    if "pacmap" in methods:
        check_pacmap()
    batch = split.batch(indices)
    latents = encode(opened, batch.images, latent_condition(opened, batch)).float().numpy()
    classes = None if split.class_labels is None else split.class_labels[indices]
    maps = []
    with progress.task("projecting latents", len(methods), "maps") as meter:
        for method in methods:
            projection = project(method, latents, seed, perplexity)
            maps.append((projection, faithfulness(latents, projection.coordinates, classes)))
            meter.advance()
    accuracy = None if classes is None else knn_accuracy(latents, classes)
    return LatentMap(indices, latents, classes, tuple(maps), accuracy)
