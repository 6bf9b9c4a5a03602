"""Translation measured on models whose answers are known in closed form."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from simulacra.core.capabilities import Translates
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.data.synthetic.transforms import apply_transform
from simulacra.metrics.statistics.image_similarity import BEST
from simulacra.metrics.statistics.measurement import Measurement, wilson
from simulacra.metrics.translations.directions import Direction
from simulacra.metrics.translations.translated_classes import translation_accuracy
from simulacra.metrics.translations.translation import cycle_mse, translation_psnr

Map = Callable[[Tensor], Tensor]


class Maps(Translates):
    """A translator of two functions."""

    domains = ("a", "b")

    def __init__(self, to_a: Map, to_b: Map) -> None:
        self.maps = {"a": to_a, "b": to_b}

    def translate(self, images: Tensor, to: str, condition: Condition = UNCONDITIONAL) -> Tensor:
        return self.maps[to](images)


def unchanged(images: Tensor) -> Tensor:
    return images


def invert(images: Tensor) -> Tensor:
    return 1 - images


def brighter(images: Tensor) -> Tensor:
    return images + 10 / 255


def is_bright(images: Tensor) -> Tensor:
    return (images.mean((1, 2, 3)) > 0.5).long()


def split_of(count: int = 600, seed: int = 0) -> Split:
    """Return images of up to 200 levels, more than one chunk, labelled by whether they are bright."""
    images = np.random.default_rng(seed).integers(0, 201, (count, 3, 4, 1), dtype=np.uint8)
    images[::3] //= 4
    return Split("test", images, (images.mean((1, 2, 3)) > 127.5).astype(np.int64))


def transformed(split: Split, look: str) -> Split:
    return Split(split.name, apply_transform(split.images, look), split.labels)


def measured(model: Maps, direction: Direction, meter: Meter) -> dict[str, Measurement]:
    return translation_psnr(model, direction, meter) | cycle_mse(model, direction, meter)


def test_a_perfect_translator_reaches_the_best_and_one_that_does_nothing_what_images_have_as_they_are(meter: Meter) -> None:
    images = split_of()
    there = Direction("a", "b", images, transformed(images, "inverted"))
    perfect = measured(Maps(invert, invert), there, meter)
    assert perfect["translation_psnr_db_to_b"].value == BEST
    assert perfect["cycle_mse_a"].value == pytest.approx(0, abs=1e-12)
    idle = measured(Maps(unchanged, unchanged), there, meter)
    assert idle["translation_psnr_db_to_b"].value == idle["untranslated_psnr_db_to_b"].value
    assert perfect["untranslated_psnr_db_to_b"] == idle["untranslated_psnr_db_to_b"]
    expected = [-10 * math.log10(np.mean((255 - 2.0 * image) ** 2) / 255**2) for image in images.images.astype(int)]
    assert idle["untranslated_psnr_db_to_b"].value == pytest.approx(np.mean(expected), rel=1e-6)
    assert idle["cycle_mse_a"].value == 0
    assert idle["untranslated_psnr_db_to_b"].protocol["translated"] == "not at all"


def test_a_constant_error_of_ten_levels_has_its_decibels_and_twice_the_error_there_and_back(meter: Meter) -> None:
    images = split_of()
    found = measured(Maps(brighter, brighter), Direction("b", "a", images, images), meter)
    assert found["translation_psnr_db_to_a"].value == pytest.approx(20 * math.log10(255 / 10), rel=1e-6)
    assert found["translation_psnr_db_to_a"].standard_error == pytest.approx(0, abs=1e-6)
    assert found["cycle_mse_b"].value == pytest.approx((20 / 255) ** 2, rel=1e-5)
    assert found["cycle_mse_b"].n == found["translation_psnr_db_to_a"].n == len(images)
    assert set(found) == {"translation_psnr_db_to_a", "untranslated_psnr_db_to_a", "cycle_mse_b"}


def test_accuracy_is_the_share_of_preserved_classes_with_an_interval(meter: Meter) -> None:
    images = split_of()
    assert images.labels is not None
    images.labels[:90] = 1 - images.labels[:90]  # the classifier is wrong about 15 % of the images themselves
    found = translation_accuracy(
        Maps(invert, invert), Direction("b", "a", transformed(images, "inverted")), is_bright, images[60:], meter
    )
    assert found["translation_accuracy_to_a"].protocol["real_against_real"] == pytest.approx(1 - 30 / 540)
    for name, share in (("translation_accuracy_to_a", 0.85), ("untranslated_accuracy_to_a", 0.15)):
        assert found[name].value == pytest.approx(share)
        assert found[name].interval == pytest.approx(wilson(share, len(images)))


def test_domains_of_different_shapes_have_no_ratio_without_translation(meter: Meter) -> None:
    images = split_of()
    model = Maps(lambda colours: colours[:, :1], lambda grey: torch.cat([grey, 1 - grey, torch.full_like(grey, 128 / 255)], 1))
    found = measured(model, Direction("a", "b", images, transformed(images, "coloured")), meter)
    assert found["translation_psnr_db_to_b"].value == BEST
    assert set(found) == {"translation_psnr_db_to_b", "cycle_mse_a"}


def test_translations_are_measured_as_a_file_would_hold_them(meter: Meter) -> None:
    images = split_of()
    nearly = Maps(unchanged, lambda x: (x + 0.4 / 255).clamp(0, 1))  # rounds to the image itself
    assert measured(nearly, Direction("a", "b", images, images), meter)["translation_psnr_db_to_b"].value == BEST
    outside = Maps(unchanged, lambda x: 2 * x + 1)
    white = Split("test", np.full_like(images.images, 255))
    assert measured(outside, Direction("a", "b", images, white), meter)["translation_psnr_db_to_b"].value == BEST


def test_missing_answers_and_labels_are_refused(meter: Meter) -> None:
    images = split_of()
    with pytest.raises(UsageError, match=r"600 .* 5 "):
        Direction("a", "b", images, images[:5])
    unlabelled = Direction("a", "b", Split("test", images.images))
    with pytest.raises(UsageError, match="domain a"):
        translation_accuracy(Maps(unchanged, unchanged), unlabelled, is_bright, images, meter)
    with pytest.raises(UsageError, match="from a to b"):
        translation_psnr(Maps(unchanged, unchanged), unlabelled, meter)
