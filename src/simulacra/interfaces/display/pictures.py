"""How notebooks display data sets and results that have images: as text, with a picture below it."""

import numpy as np

from simulacra.data.dataset import Dataset
from simulacra.images.grid import image_grid
from simulacra.images.restorations import restoration_table
from simulacra.interfaces.display.notebook import html_of, register_pictures
from simulacra.maps.coloring import class_coloring
from simulacra.maps.latent_map import LatentMap
from simulacra.maps.scatter import maps_picture
from simulacra.runs.image_to_image.restoration import Restoration

_IMAGES = 24  # of a data set, in rows of 8
_RESTORED = 8  # images of a restoration
_MAP = 360  # pixels of the side of a map


def register_all() -> None:
    """Let notebooks display values of these types with pictures; without a notebook nothing is changed."""
    register_pictures(Dataset, _data_set)
    register_pictures(Restoration, _restoration)
    register_pictures(LatentMap, _latent_map)


def _data_set(dataset: Dataset) -> str:
    """Return the description and training images as HTML."""
    return html_of(repr(dataset), image_grid(dataset.train.head(_IMAGES).images, 8))


def _restoration(restored: Restoration) -> str:
    """Return the description as HTML, with a table of the first images."""
    return html_of(repr(restored), restoration_table(restored.head(_RESTORED)))


def _latent_map(found: LatentMap) -> str:
    """Return the measurements as HTML, with the maps, in the colours of the classes."""
    classes = np.zeros_like(found.indices) if found.classes is None else found.classes
    return html_of(found.summary(), maps_picture(found, class_coloring(classes), _MAP))
