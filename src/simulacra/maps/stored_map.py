"""Maps that the command `latent-map` stored in a run folder, for the report."""

import json
from contextlib import suppress
from typing import Any

import numpy as np

from simulacra.images.section import Figure
from simulacra.maps.coloring import coloring
from simulacra.maps.latent_map import LatentMap
from simulacra.maps.scatter import scatter
from simulacra.runs.opened import OpenedRun

MAP = "latent_map"
"""First part of the names of the files of a map."""


def stored_points(found: LatentMap) -> dict[str, Any]:
    """Return the numbers of the images and their coordinates, as plain values."""
    return {"index": found.indices.tolist(), **{item.method: item.coordinates.tolist() for item, _ in found.maps}}


def stored_tsne(opened: OpenedRun, side: int) -> Figure | None:
    """Return the newest stored t-SNE map of the weights of a run, `side` pixels wide; None where there is none."""
    for path in sorted(opened.run.images.glob(f"{MAP}*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["weights"] == opened.digest:
                return _tsne_figure(opened, content, side)
    return None


def _tsne_figure(opened: OpenedRun, content: dict[str, Any], side: int) -> Figure:
    """Return the t-SNE map of a stored map; raises KeyError, ValueError or TypeError where it holds none."""
    indices = np.array(content["points_of_maps"]["index"], np.int64)
    plane = np.array(content["points_of_maps"]["tsne"], np.float64).reshape(len(indices), 2)
    trust = float(content["maps"]["tsne"]["trustworthiness"])
    colours = coloring(opened, opened.dataset.test, indices)
    picture = scatter([(f"t-SNE (trustworthiness {trust:.3f})", plane)], colours, side)
    return Figure(picture, f"{len(indices)} test images in a t-SNE map, by {colours.title}", "t-SNE, from simulacra latent-map")
