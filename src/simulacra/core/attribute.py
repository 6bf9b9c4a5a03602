"""Labelled properties of images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """One labelled property of images, such as a digit or a hue, with the names of its values."""

    name: str
    values: tuple[str, ...]
