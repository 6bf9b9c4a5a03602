"""Controls on real images: what makes images worse makes the numbers worse (scikit-learn's digits, raw pixels as features)."""

import pytest
import scipy.ndimage
import torch
from sklearn.datasets import load_digits
from tests.conftest import Count
from torch import Tensor

from simulacra.metrics.diversity import diversity
from simulacra.metrics.statistics.frechet import frechet_distance, frechet_floor
from simulacra.metrics.statistics.kernel import kernel_distance
from simulacra.metrics.statistics.moments import blocked_moments
from simulacra.metrics.statistics.nearest_training import memorization
from simulacra.metrics.statistics.neighbourhoods import neighbourhoods


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor]:
    """Return 599 'generated' digits, 599 reference digits and 599 others as features [599 64] in [0, 1]: all real."""
    values, _ = load_digits(return_X_y=True)
    rows = torch.tensor(values, dtype=torch.float32) / 16
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    first, second, third = rows[order].split(599)[:3]
    return first, second, third


def labels_of_first() -> Tensor:
    _, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return torch.tensor(labels)[order][:599]


def noisy(rows: Tensor, strength: float) -> Tensor:
    return rows + strength * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))


def blurred(rows: Tensor, width: float) -> Tensor:
    images = rows.view(-1, 8, 8).numpy()
    return torch.tensor(scipy.ndimage.gaussian_filter(images, (0, width, width))).flatten(1)


def fd(generated: Tensor, reference: Tensor) -> float:
    return frechet_distance(blocked_moments(generated), blocked_moments(reference), Count()).value


def kid(generated: Tensor, reference: Tensor) -> float:
    return kernel_distance(generated, reference, 0, Count()).value


def test_the_frechet_distance_rises_with_noise_and_with_blur(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    generated, reference, _ = digits
    noise = [fd(noisy(generated, strength), reference) for strength in (0, 0.05, 0.1, 0.2, 0.4)]
    blur = [fd(blurred(generated, width), reference) for width in (0, 0.4, 0.6, 0.8)]
    assert noise == sorted(noise)
    assert blur == sorted(blur)


@pytest.mark.long
def test_the_kernel_distance_rises_with_blur_and_only_with_much_noise(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    # independent noise of variance s^2 in every pixel adds (s^2)^2 / d to its second moments: next to nothing
    generated, reference, _ = digits
    clean = kid(generated, reference)
    assert clean < kid(blurred(generated, 0.4), reference) < kid(blurred(generated, 0.7), reference)
    assert clean < kid(noisy(generated, 0.4), reference) < kid(noisy(generated, 0.8), reference)


def test_distances_rise_with_every_class_that_is_missing(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    # 200 images each time: with fewer, the bias would rise too
    generated, reference, _ = digits
    labels = labels_of_first()
    parts = [generated[labels >= missing][:200] for missing in (0, 1, 3, 6)]
    distances, kernels = ([measure(part, reference) for part in parts] for measure in (fd, kid))
    assert distances == sorted(distances)
    assert distances[-1] > 2 * distances[0]
    assert min(kernels[1:]) > kernels[0]
    assert max(kernels) == kernels[-1]


def test_real_images_measure_the_floor(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    generated, reference, train = digits
    moments = blocked_moments(reference)
    floor = frechet_floor(train, moments, 500, 0, Count())
    found = frechet_distance(blocked_moments(generated[:500]), moments, Count())
    assert floor.standard_error is not None
    assert abs(found.value - floor.value) < 3 * floor.standard_error
    assert floor.value < 0.1 * fd(noisy(generated, 0.4), reference)


def test_noise_costs_precision_and_density_and_missing_classes_cost_recall_and_coverage(
    digits: tuple[Tensor, Tensor, Tensor],
) -> None:
    generated, reference, _ = digits
    clean = neighbourhoods(generated, reference, Count())
    noise = neighbourhoods(noisy(generated, 0.3), reference, Count())
    some = neighbourhoods(generated[labels_of_first() < 5], reference, Count())
    for name in ("precision", "density"):
        assert noise[name].value < 0.5 * clean[name].value
        assert some[name].value > 0.8 * clean[name].value
    for name in ("recall", "coverage"):
        assert some[name].value < 0.65 * clean[name].value


def test_copies_of_training_images_are_flagged_and_new_images_are_not(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    generated, held_out, train = digits
    new = memorization(generated, train, held_out, 0, Count()).nearest_train_ratio
    copied = memorization(noisy(train, 0.02), train, held_out, 0, Count()).nearest_train_ratio
    low, high = new.table()["interval"]
    assert low < 1 < high
    assert new.protocol["copies"] < 0.03
    assert copied.table()["interval"][1] < 0.3
    assert copied.protocol["copies"] > 0.99
    # a mirror image is no copy in pixels
    assert memorization(train.view(-1, 8, 8).flip(2).flatten(1), train, held_out, 0, Count()).nearest_train_ratio.value > 0.9


def test_a_collapsed_generator_is_told_by_diversity_recall_and_coverage_not_by_precision(
    digits: tuple[Tensor, Tensor, Tensor],
) -> None:
    generated, reference, _ = digits
    collapsed = noisy(reference[:1].expand(599, -1), 0.01)
    real, found = (diversity(rows, reference, Count()).value for rows in (generated, collapsed))
    assert abs(real - 1) < 0.02
    assert found < 0.1
    measured = neighbourhoods(collapsed, reference, Count())
    assert measured["precision"].value == 1
    assert measured["recall"].value < 0.02
    assert measured["coverage"].value < 0.1


def test_one_image_of_every_class_again_and_again_is_a_collapse_too(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    # diversity alone would miss it: ten images are nearly as far apart as all
    generated, reference, _ = digits
    labels = labels_of_first()
    ten = torch.stack([generated[labels == digit][0] for digit in range(10)])
    collapsed = noisy(ten.repeat(60, 1)[:599], 0.01)
    assert diversity(collapsed, reference, Count()).value > 0.8
    assert neighbourhoods(collapsed, reference, Count())["recall"].value < 0.05
    assert fd(collapsed, reference) > 3 * fd(generated, reference)
