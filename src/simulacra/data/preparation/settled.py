"""Settings that depend on the images: a size for images of mixed sizes, and the levels of images of more than 8 bits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from simulacra.core.progress import Progress
from simulacra.data.preparation.prepared import place, read
from simulacra.data.settings import MEASURED, DataConfig, Settings
from simulacra.data.source import Material, Sizes

SUGGESTED = 64  # pixels, a size that trains in reasonable time
_SMALLER = 0.05  # share of images that may be smaller than the size, so that a few icons do not determine it


def size_for(sizes: Sizes) -> int:
    """Return the size for images of mixed sizes: 64, or their smallest side if it is less, without the smallest 5 % of images.

    >>> size_for({(600, 800): 30, (480, 640): 9, (16, 16): 1}), size_for({(30, 40): 5, (20, 50): 1})
    (64, 20)
    """
    sides = sorted(min(size) for size, number in sizes.items() for _ in range(number))
    return min(SUGGESTED, sides[int(_SMALLER * len(sides))])


def settle(config: Settings, materials: Sequence[tuple[Material, DataConfig]], progress: Progress, largest: int = 0) -> Settings:
    """Return the settings of these materials as they are used: with a size and with measured levels where these are needed.

    largest: the largest shorter side of images of one size that is kept, 0 for any. Returns the same object where nothing
    changes; otherwise a message names what was chosen.
    """
    return _levels(_size(config, materials, progress, largest), materials, progress)


def _size(config: Settings, materials: Sequence[tuple[Material, DataConfig]], progress: Progress, largest: int) -> Settings:
    """Return the settings of these materials, with a size if they have none and the images have several or are too large.

    Images that are prepared without a size have one size, and so have those of a material that does not measure them.
    """
    if config.size:
        return config
    found = Counter[tuple[int, int]]()
    for material, own in materials:
        if prepared := read(place(material, own)):
            found[prepared.facts.shape[1:3]] += prepared.facts.shape[0]
        elif material.sizes:
            found.update(material.sizes(progress))
    if len(found) < 2 and not (largest and any(min(size) > largest for size in found)):
        return config
    size, (height, width) = size_for(found), found.most_common(1)[0][0]
    title = " and ".join(material.name for material, _ in materials)
    seen = f"images have {len(found)} sizes, most often {width}x{height}" if len(found) > 1 else f"images have {width}x{height}"
    progress.message(f"{title}: {seen}: resized and cropped to {size}x{size}; --size N chooses another size")
    return replace(config, size=size)


def _levels(config: Settings, materials: Sequence[tuple[Material, DataConfig]], progress: Progress) -> Settings:
    """Return the settings with the lowest and highest value of the images as levels where these are to be measured."""
    if config.levels != MEASURED:
        return config
    found = [extremes for material, _ in materials if material.extremes and (extremes := material.extremes(progress))]
    low, high = min((one[0] for one in found), default=0), max((one[1] for one in found), default=0)
    title = " and ".join(material.name for material, _ in materials)
    if not low < high:
        progress.message(f"{title}: no image has several values of more than 8 bits: --levels {MEASURED} changes nothing")
        return replace(config, levels="")
    progress.message(f"{title}: the values {low:g} to {high:g} become black to white (--levels {low:g}..{high:g})")
    return replace(
        config, levels=f"{low:g}..{high:g}" if float(f"{low:g}") == low and float(f"{high:g}") == high else f"{low}..{high}"
    )
