"""Which images an evaluation found worth looking at, as positions: pictures are drawn from these, when they are wanted.

A generated image is known by its number k under the evaluation's seed, a real one by its place in its split. All is ready for
JSON.
"""

from typing import Any

from torch import Tensor

from simulacra.metrics.memorization import Memorization

_SUSPECTS = 24  # generated images that are nearest to a training image
_EACH = 10  # images of a class
_CLASSES = 10  # classes that are shown


def suspects(found: Memorization) -> dict[str, Any]:
    """Return the generated images that are nearest to a training image, nearest first, each with its neighbour.

    generated, train: positions; ratios: distance over the median distance of unseen real images to the training images.
    """
    chosen = found.suspects(_SUSPECTS)
    ratios = found.distances[chosen] / found.held_out_distances.median()
    return {"generated": chosen.tolist(), "train": found.positions[chosen].tolist(), "ratios": ratios.tolist()}


def by_class(generated: Tensor, real: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the first images of each class, and its shares, as one classifier sees generated and test images: int64 [n], [m].

    names: of the classes shown, the first ten; of: how many there are; generated, real: positions for each class; shares: pairs.
    """
    shown = range(min(len(names), _CLASSES))
    return {
        "names": list(names[:_CLASSES]),
        "of": len(names),
        "generated": [_first(generated, label) for label in shown],
        "real": [_first(real, label) for label in shown],
        "shares": [[_share(generated, label), _share(real, label)] for label in shown],
    }


def _first(labels: Tensor, label: int) -> list[int]:
    found: list[int] = (labels == label).nonzero()[:_EACH, 0].tolist()
    return found


def _share(labels: Tensor, label: int) -> float:
    return (labels == label).double().mean().item()
