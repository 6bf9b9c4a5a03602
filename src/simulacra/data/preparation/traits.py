"""Remarks on properties of image files that their pixels do not show: further images, colour profiles, unused values."""

from collections import Counter
from collections.abc import Iterator, Mapping

from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.source import Extremes, Finding, Item, Reading, Traits

ANY_LEVELS = (-1e300, 1e300)
"""Levels with which images of any values can be decoded, to measure these."""

_USED = 0.5  # share of the 65,536 values of 16-bit images below which a range of values counts as unused
_MOST = 65535
_EXAMPLES = 5


def measured_extremes(title: str, reading: Reading, progress: Progress) -> Extremes:
    """Return the lowest and the highest value of the images of more than 8 bits of a reading with ANY_LEVELS, or None."""
    found = list[tuple[float, float]]()
    with progress.task(f"measuring {title}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Item) and item.traits.extremes:
                found.append(item.traits.extremes)
            meter.advance()
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def remarks(files: Mapping[str, Traits], config: DataConfig) -> Iterator[Finding]:
    """Yield findings on the traits of the files of a source, by name, which are decoded with these settings."""
    yield from _further_images(files, config)
    yield from _profiles(files)
    yield from _unused_values(files, config)


def _further_images(files: Mapping[str, Traits], config: DataConfig) -> Iterator[Finding]:
    several = {name: traits.images for name, traits in files.items() if traits.images > 1}
    if several and not config.frames:
        held = f"{len(several)} files hold several images" if len(several) > 1 else "1 file holds several images"
        what = f"{held} (pages or frames, {sum(several.values())} in all), of which only the first is used"
        remedy = "add --frames to use all of them as images"
        yield Finding("several_images", what, remedy, "warning", len(several), (*several,)[:_EXAMPLES])


def _profiles(files: Mapping[str, Traits]) -> Iterator[Finding]:
    counts = Counter(traits.profile for traits in files.values() if traits.profile)
    if counts:
        named = ", ".join(f"{profile} ({count})" for profile, count in counts.most_common(_EXAMPLES))
        what = f"the colours of {counts.total()} images are converted from their colour profiles to sRGB: {named}"
        yield Finding("colour_profiles", what, "none needed", count=counts.total())


def _unused_values(files: Mapping[str, Traits], config: DataConfig) -> Iterator[Finding]:
    """Yield findings on the range of values of images of more than 8 bits: how it is scaled, unused parts, values outside."""
    extremes = [traits.extremes for traits in files.values() if traits.extremes]
    if not extremes:
        return
    low, high = min(one[0] for one in extremes), max(one[1] for one in extremes)
    seen = f"the values of {len(extremes)} images of more than 8 bits lie in {low:g}..{high:g}"
    if config.level_range is not None:
        black, white = config.level_range
        yield Finding("levels", f"{seen}, and {black:g}..{white:g} become black to white", "none needed", count=len(extremes))
        if outside := sum(one[0] < black or one[1] > white for one in extremes):
            what = f"{seen}: those outside of --levels {config.levels} are clipped, in {outside} images"
            yield Finding("clipped", what, "none needed if these are outliers; or widen --levels", "note", outside)
    elif 1 < high - low < _USED * _MOST and low >= 0:
        left = max(1, round(255 * (high - low) / _MOST) + 1)
        what = f"{seen}, of 0..{_MOST}: about {left} of 256 grey levels remain"
        remedy = f"add --levels {_bits(high)} or --levels data to scale these values to black and white"
        yield Finding("unused_values", what, remedy, "warning", len(extremes))


def _bits(high: float) -> str:
    """Return the smallest number of bits for values up to this one, as --levels takes it."""
    return next((f"{bits}bit" for bits in (10, 12, 14) if high < 2**bits), f"0..{high:g}")
