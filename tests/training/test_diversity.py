"""Diversity and distinctness of generated images: closed forms."""

import pytest
import torch

from simulacra.core.errors import UsageError
from simulacra.training.diversity import pixel_diversity

COUNT = 16


def axes(scale: float = 1.0) -> torch.Tensor:
    """Return images of one bright pixel each: every two of them are sqrt(2) apart."""
    return scale * torch.eye(COUNT).reshape(COUNT, 1, 4, 4)


def test_images_as_far_apart_as_real_ones_have_one_and_nearer_ones_their_share() -> None:
    for scale in (1.0, 0.25):
        assert pixel_diversity(axes(scale), axes()) == pytest.approx({"diversity": scale, "distinctness": scale})


def test_one_image_again_and_again_has_neither() -> None:
    assert pixel_diversity(axes()[:1].repeat(COUNT, 1, 1, 1), axes()) == {"diversity": 0.0, "distinctness": 0.0}


def test_two_images_again_and_again_are_diverse_but_not_distinct() -> None:
    # of all n(n-1)/2 pairs, (n/2)^2 are of different images
    two = axes()[:2].repeat(COUNT // 2, 1, 1, 1)
    assert pixel_diversity(two, axes()) == pytest.approx({"diversity": COUNT / (2 * (COUNT - 1)), "distinctness": 0.0})


def test_points_are_images_of_two_values() -> None:
    real = torch.linspace(0, 1, 11).reshape(-1, 1, 1, 1).repeat(1, 1, 1, 2)
    assert pixel_diversity(real / 2, real) == pytest.approx({"diversity": 0.5, "distinctness": 0.5})


def test_real_images_that_are_all_the_same_have_no_variety_to_compare_with() -> None:
    assert pixel_diversity(axes(), 0 * axes()) == {}


def test_fewer_than_ten_images_are_refused() -> None:
    with pytest.raises(UsageError, match="9 images"):
        pixel_diversity(axes()[:9], axes()[:9])
