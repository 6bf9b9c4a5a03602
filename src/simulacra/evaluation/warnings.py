"""What in the numbers of a model should worry its owner, in words."""

from collections.abc import Mapping

from simulacra.metrics.catalogue import entry
from simulacra.metrics.measurement import Measurement
from simulacra.metrics.memorization import COPY_SHARE

_DIVERSE = 0.5  # of the real mean distance, below which images are suspiciously alike
_COVERED = 0.1  # of what real images cover; blurred images cover little, too, without being alike
_COPIES = 5 * COPY_SHARE  # share of images as near to a training image as the nearest hundredth of real ones
_NEAR = 0.5  # of the usual distance to the nearest training image
_ACTIVE = 0.25  # share of latents in use


def flags(metrics: Mapping[str, Measurement], dimensions: int) -> list[str]:
    """Return a sentence for each sign of mode collapse, missing modes, memorization, posterior collapse or idle translation.

    dimensions: values in an image, of which no more latents than these can be of use.
    """
    return [*_collapse(metrics), *_missing(metrics), *_copying(metrics), *_idle(metrics, dimensions), *_untranslated(metrics)]


def _collapse(metrics: Mapping[str, Measurement]) -> list[str]:
    signs = []
    if (spread := metrics.get("diversity")) and spread.bounds[1] < _DIVERSE:
        signs.append(f"their mean distance is {spread.value:.0%} of that of real ones")
    if cover := metrics.get("coverage"):
        usual = cover.protocol.get("real_against_real", cover.protocol["same_law"])
        if cover.bounds[1] < _COVERED * usual:
            signs.append(f"they cover {cover.value:.1%} of the real ones, where training images cover {usual:.1%}")
    if (modes := metrics.get("modes_covered")) and "law" not in modes.protocol and modes.value < modes.protocol["of"]:
        signs.append(f"they show {modes.value:.0f} of {modes.protocol['of']} classes")
    return [f"mode collapse: generated images are too much alike ({'; '.join(signs)})"] if signs else []


def _missing(metrics: Mapping[str, Measurement]) -> list[str]:
    """Say which share of the modes of a known law is reached, whether the points are too much alike or lie between the modes."""
    modes, near = metrics.get("modes_covered"), metrics.get("high_quality_share")
    if modes is None or near is None or modes.value == modes.protocol["of"]:
        return []
    where = f"{near.value:.1%} of them lie near one, of the law's own points {near.protocol['same_law']:.1%}"
    return [f"missing modes: generated points reach {modes.value:.0f} of {modes.protocol['of']} modes ({where})"]


def _copying(metrics: Mapping[str, Measurement]) -> list[str]:
    ratio = metrics.get("nearest_train_ratio")
    if ratio is None:
        return []
    copies = ratio.protocol["copies"]
    if ratio.bounds[1] >= _NEAR and copies <= _COPIES:
        return []
    return [
        f"memorization: {copies:.1%} of the generated images are as near to a training image as the nearest {COPY_SHARE:.0%} of "
        f"unseen real ones, and the median distance is {ratio.value:.2f} of theirs. Look at the nearest neighbours in the report"
    ]


def _idle(metrics: Mapping[str, Measurement], dimensions: int) -> list[str]:
    active = metrics.get("active_units")
    if active is None or active.value >= _ACTIVE * min(active.protocol["of"], dimensions):
        return []
    return [f"posterior collapse: {active.value:.0f} of {active.protocol['of']} latents carry information. Try a lower --beta"]


def _untranslated(metrics: Mapping[str, Measurement]) -> list[str]:
    """Say which translations are surely worse than none at all."""
    found = []
    for name, item in metrics.items():
        plain = metrics.get(f"un{name.replace('translation', 'translated', 1)}")
        if plain is not None and item.bounds[1] < plain.bounds[0]:
            numbers = f"{entry(name).title}: {item.value:.4g} against {plain.value:.4g}"
            found.append(f"idle translation: images that nobody translated do better ({numbers})")
    return found
