"""The interactive page of a map: one HTML file without references to anything outside of it."""

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from simulacra.images.files import png_bytes
from simulacra.maps.coloring import Coloring
from simulacra.maps.latent_map import LatentMap
from simulacra.maps.palette import marker, scale
from simulacra.maps.projection import NAMES
from simulacra.maps.scatter import placed
from simulacra.maps.sprites import SpriteSheet, sprite_sheet

_DIGITS = 5  # decimals of coordinates in [0, 1]
_SCALE_STOPS = 9


def map_page(title: str, found: LatentMap, coloring: Coloring, images: Tensor, classes: Sequence[str]) -> str:
    """Return the page of a map of images [n c h w] in [0, 1]; title: of the run; classes: their names, empty without classes.

    All texts are escaped. A policy in the page forbids every script but its own, by digest, and every request.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    place = Environment(loader=PackageLoader("simulacra", "maps/templates"), autoescape=True, undefined=StrictUndefined)
    place.trim_blocks = place.lstrip_blocks = True
    script = "\n" + place.get_template("map.js.jinja").render() + "\n"
    sheet = sprite_sheet(images)
    content = {
        "title": title,
        "data": _data(found, coloring, classes, sheet),
        "sprites": _data_uri(sheet.image),
        "script": Markup(script),  # our own file, without content
        "digest": base64.b64encode(sha256(script.encode()).digest()).decode(),
        "rows": [(NAMES[item.method], item.protocol, measured) for item, measured in found.maps],
        "table": found.table(),
        "coloring": coloring,
        "scale": scale(np.linspace(0, 1, _SCALE_STOPS)),
    }
    return place.get_template("map.html.jinja").render(content)


def _data(found: LatentMap, coloring: Coloring, classes: Sequence[str], sheet: SpriteSheet) -> dict[str, Any]:
    """Return what the script reads: coordinates in [0, 1] (the second downwards), values, names, colours, the sprite sheet."""
    numbers = found.classes.tolist() if found.classes is not None and classes else []
    categories = [{"name": name, "marker": marker(number)} for number, name in enumerate(coloring.categories)]
    return {
        "maps": [
            {"name": NAMES[item.method], "points": placed(item.coordinates, 1, (0, 0)).round(_DIGITS).tolist()}
            for item, _ in found.maps
        ],
        "indices": found.indices.tolist(),
        "classes": [classes[number] for number in numbers],
        "title": coloring.title,
        "texts": list(coloring.texts),
        "categories": categories,
        "values": coloring.values.tolist() if categories else [],
        "colours": [] if categories else coloring.colours(),
        "sprite": {
            "columns": sheet.columns,
            "width": sheet.width,
            "height": sheet.height,
            "enlargement": sheet.enlargement,
            "size": list(sheet.image.size),
        },
    }


def _data_uri(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()
