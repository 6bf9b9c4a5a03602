"""Warnings of an evaluation: signs of common failures in the numbers of a model."""

from collections.abc import Mapping

from simulacra.core.pointer import explained_by
from simulacra.metrics import quantity
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.statistics.nearest_training import COPY_SHARE

_DIVERSITY = 0.5  # of real images, below which generated images are too similar
_COVERAGE = 0.1  # of real images; a sign beside others only, since images of poor quality have a low coverage, too
_COPIES = 5 * COPY_SHARE  # share of images at most as far from a training image as the closest 1 % of real ones
_RATIO = 0.5  # of the median distance to the nearest training image
_ACTIVE = 0.25  # share of latents in use
_TRAINED = 1000  # steps after which the moving average of the weights represents a trained model


def evaluation_warnings(metrics: Mapping[str, Measurement], dimensions: int, step: int = _TRAINED) -> list[str]:
    """Return a sentence for each sign of mode collapse, missing modes, memorization, posterior collapse or idle translation.

    dimensions: values in an image, an upper bound of the number of latents that can be in use; step: of the checkpoint, since
    latents that are not in use yet are no collapse.
    """
    generated = [*_mode_collapse(metrics), *_missing_modes(metrics), *_memorization(metrics)]
    collapsed = _posterior_collapse(metrics, dimensions) if step >= _TRAINED else []
    found = [*generated, *collapsed, *_idle_translation(metrics)]
    return [explained_by(sentence, sentence.partition(":")[0]) for sentence in found]


def _mode_collapse(metrics: Mapping[str, Measurement]) -> list[str]:
    signs = []
    if (spread := metrics.get("diversity")) and spread.bounds[1] < _DIVERSITY:
        signs.append(f"their mean distance is {spread.value:.0%} of that of real images")
    if (modes := metrics.get("modes_covered")) and "density" not in modes.protocol and modes.value < modes.protocol["of"]:
        signs.append(f"they cover {modes.value:.0f} of {modes.protocol['of']} classes")
    if signs and (cover := metrics.get("coverage")):
        usual = cover.protocol.get("real_against_real", cover.protocol["expected_for_equal_distributions"])
        if cover.bounds[1] < _COVERAGE * usual:
            signs.append(f"their coverage is {cover.value:.1%}, that of training images {usual:.1%}")
    return [f"mode collapse: generated images are too similar ({'; '.join(signs)})"] if signs else []


def _missing_modes(metrics: Mapping[str, Measurement]) -> list[str]:
    """Return a warning where modes of a known density are missing: points are too similar, or lie between the modes."""
    modes, near = metrics.get("modes_covered"), metrics.get("high_quality_share")
    if modes is None or near is None or modes.value == modes.protocol["of"]:
        return []
    where = f"{near.value:.1%} of them are near a mode, of the data {near.protocol['expected_for_equal_distributions']:.1%}"
    return [f"missing modes: generated points cover {modes.value:.0f} of {modes.protocol['of']} modes ({where})"]


def _memorization(metrics: Mapping[str, Measurement]) -> list[str]:
    ratio = metrics.get("nearest_train_ratio")
    if ratio is None or (ratio.bounds[1] >= _RATIO and ratio.protocol["copies"] <= _COPIES):
        return []
    copies = f"{ratio.protocol['copies']:.1%} of the generated images are at most as far from a training image as the closest"
    distance = f"the median distance is {ratio.value:.2f} of that of held-out images. See the nearest neighbours in the report"
    return [f"memorization: {copies} {COPY_SHARE:.0%} of held-out images, and {distance}"]


def _posterior_collapse(metrics: Mapping[str, Measurement], dimensions: int) -> list[str]:
    active = metrics.get("active_units")
    if active is None or active.value >= _ACTIVE * min(active.protocol["of"], dimensions):
        return []
    return [f"posterior collapse: {active.value:.0f} of {active.protocol['of']} latents are active. Try a lower --beta"]


def _idle_translation(metrics: Mapping[str, Measurement]) -> list[str]:
    """Return a warning for each translation that is significantly worse than none."""
    found = []
    for name, item in metrics.items():
        plain = metrics.get(f"un{name.replace('translation', 'translated', 1)}")
        if plain is not None and item.bounds[1] < plain.bounds[0]:
            numbers = f"{quantity(name).title}: {item.value:.4g} against {plain.value:.4g}"
            found.append(f"idle translation: images without translation are better ({numbers})")
    return found
