"""The transform `hues`: each image in one of seven hues on black, with the attributes of the image and a caption.

Hue and wording of the caption are drawn from a hash of the image's grey levels, so that they are functions of the image alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from simulacra.core.attribute import Attribute
from simulacra.core.errors import DataError
from simulacra.data.settings import without_transforms
from simulacra.data.source import Item, Pixels
from simulacra.data.synthetic.grey_levels import grey_levels

HUE = "hue"
HUES: Mapping[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "orange": (255, 112, 0),
    "yellow": (255, 255, 0),
    "green": (0, 255, 0),
    "cyan": (0, 255, 255),
    "blue": (32, 64, 255),
    "magenta": (255, 0, 255),
}
"""Colours of grey level 255 by name. The largest channel is 255, so that the largest channel of a pixel is its grey level."""

TEMPLATES = ("{article} {hue} {name}", "{hue} {name} on black", "{name}, coloured {hue}", "the {kind} {label} in {hue}")
"""Wordings of a caption: name is that of a digit in words, label the label itself, kind the name of the attribute."""

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_OF_DIGITS = ("mnist", "digits")  # data sets whose classes are digits
_VOWELS = "aeiou"


def hues(images: Pixels) -> Pixels:
    """Return images uint8 [n h w 3] in one hue each, on black: a grey level x becomes x times the colour, rounded.

    Colour images [n h w 3] are converted to grey first. Raises Refused for other than 1 or 3 channels.

    >>> white = np.full((1, 1, 1, 1), 255, np.uint8)
    >>> list(HUES)[hue_numbers(white)[0]], hues(white).tolist()
    ('magenta', [[[[255, 0, 255]]]])
    """
    grey = grey_levels(images)
    colours = np.array(list(HUES.values()), np.uint16)[hue_numbers(images)]
    return ((grey[..., None].astype(np.uint16) * colours[:, None, None, :] + 127) // 255).astype(np.uint8)


def hue_numbers(images: Pixels) -> NDArray[np.int64]:
    """Return the number of the hue in HUES of each of the images [n h w c] before they are coloured: int64 [n]."""
    return np.array([_drawn(grey, "hue", len(HUES)) for grey in grey_levels(images)], np.int64)


def nearest_hues(images: Pixels) -> NDArray[np.int64]:
    """Return the number of the hue in HUES whose direction is nearest to that of the mean colour of images [n h w 3]: int64 [n].

    Directions are compared by their angle, which does not depend on brightness. Black images count as the first hue.
    """
    means = images.reshape(len(images), -1, 3).mean(1)
    colours = np.array(list(HUES.values()), float)
    return np.asarray((means @ (colours / np.linalg.norm(colours, axis=1, keepdims=True)).T).argmax(1), np.int64)


def described(item: Item, source: str) -> Item:
    """Return an item that is not coloured yet with its hue as a further label, and with a caption that replaces its own.

    source: name of the data set, which decides how its classes are called.
    """
    number, wording = _drawn(grey := grey_levels(item.pixels[None])[0], "hue", len(HUES)), _drawn(grey, "caption", len(TEMPLATES))
    hue = list(HUES)[number]
    return replace(item, labels=(*item.labels, hue), caption=caption(item.labels, hue, source, wording))


def caption(labels: tuple[str, ...], hue: str, source: str, wording: int) -> str:
    """Return a caption of an image with these labels, empty for none, in one of the wordings of TEMPLATES.

    >>> [caption(("7",), "orange", "mnist", wording) for wording in range(4)]
    ['an orange seven', 'orange seven on black', 'seven, coloured orange', 'the digit 7 in orange']
    >>> caption(("bag",), "red", "fashion-mnist", 3), caption((), "red", "photos", 0)
    ('the class bag in red', 'a red image')
    """
    label = " ".join(labels) or "image"
    kind = class_name(source) if labels else "one"
    name = _DIGITS[int(label)] if kind == "digit" and label in "0123456789" else label
    article = "an" if hue[0] in _VOWELS else "a"
    return TEMPLATES[wording].format(article=article, hue=hue, name=name, kind=kind, label=label)


def class_name(source: str) -> str:
    """Return the name of the attribute that the classes of a data set become.

    >>> class_name("mnist-thick"), class_name("fashion-mnist")
    ('digit', 'class')
    """
    return "digit" if without_transforms(source) in _OF_DIGITS else "class"


def with_hue(attributes: tuple[Attribute, ...], labelled: bool, classes: tuple[str, ...], source: str) -> tuple[Attribute, ...]:
    """Return the attributes of a data set with the hue as the last one.

    attributes: its own, or empty; then its classes become one, if its images are `labelled`. Raises DataError where it has a hue.
    """
    held = attributes or ((Attribute(class_name(source), classes),) if labelled else ())
    if any(attribute.name == HUE for attribute in held):
        raise DataError(f"{source} has an attribute {HUE!r} already: leave -hues out of its name")
    return (*held, Attribute(HUE, tuple(HUES)))


def _drawn(grey: Pixels, purpose: str, count: int) -> int:
    """Return a number below `count` that is a function of grey levels [h w] and a purpose, uniform over images."""
    content = repr(grey.shape).encode() + np.ascontiguousarray(grey).tobytes()
    return int.from_bytes(blake2b(content, digest_size=8, person=purpose.encode()).digest()) % count
