"""The image pool against a plain Python implementation (trap 10)."""

import pytest
import torch
from torch import Tensor

from simulacra.networks.image_pool import ImagePool

SIZE = 5


class PlainPool:
    """The pool of Zhu et al. 2017, section 7.1, with the same random draws as `ImagePool`."""

    def __init__(self, size: int) -> None:
        self.size, self.stored = size, list[Tensor]()

    def query(self, images: Tensor) -> Tensor:
        swaps, places = torch.rand(len(images)), torch.randint(self.size, (len(images),))
        returned = []
        for image, swap, place in zip(images, swaps, places, strict=True):
            if len(self.stored) < self.size:
                self.stored.append(image)
                returned.append(image)
            elif swap < 0.5:
                returned.append(self.stored[place])
                self.stored[place] = image
            else:
                returned.append(image)
        return torch.stack(returned)


def numbered(first: int, count: int) -> Tensor:
    """Return images of one pixel with levels first, first + 1, ...: float [count 1 1 1] in [0, 1]."""
    return (torch.arange(first, first + count) / 255).view(count, 1, 1, 1)


def levels(images: Tensor) -> list[int]:
    return [int(level) for level in (images * 255).round().flatten()]


def test_a_pool_that_is_not_full_stores_and_returns_every_image() -> None:
    pool = ImagePool(SIZE, (1, 1, 1))
    assert levels(pool(numbered(0, 2))) == [0, 1]
    assert levels(pool(numbered(2, 3))) == [2, 3, 4]
    assert pool.count == SIZE
    assert pool.images.flatten().tolist() == [0, 1, 2, 3, 4]


def test_the_pool_stores_and_returns_the_same_images_as_the_plain_pool() -> None:
    pool, plain = ImagePool(SIZE, (1, 1, 1)), PlainPool(SIZE)
    for first in range(0, 240, 3):  # the pool becomes full within the second batch of three
        torch.manual_seed(first)
        expected = plain.query(numbered(first, 3))
        torch.manual_seed(first)
        assert levels(pool(numbered(first, 3))) == levels(expected)
        assert pool.images.flatten().tolist()[: len(plain.stored)] == levels(torch.stack(plain.stored))


@pytest.mark.long
def test_a_full_pool_returns_new_images_with_probability_one_half() -> None:
    # 4000 images, each new with probability 1/2: 5 standard errors are 0.04, two-sided 6e-7
    torch.manual_seed(0)
    pool = ImagePool(50, (1, 1, 1))
    pool(torch.zeros(50, 1, 1, 1))
    values = []
    for _ in range(4000):
        pool.images.zero_()
        values.append(float(pool(torch.ones(1, 1, 1, 1)).item()))
    assert abs(sum(values) / len(values) - 0.5) < 0.04


def test_returned_images_have_256_levels_and_no_gradient() -> None:
    images = torch.rand(4, 3, 5, 5, requires_grad=True)
    returned = ImagePool(4, (3, 5, 5))(images)
    assert not returned.requires_grad
    assert torch.equal(returned * 255, (returned * 255).round())
    assert (returned - images).abs().max() <= 0.5 / 255 + 1e-6


def test_a_pool_in_evaluation_mode_returns_its_input_and_stores_nothing() -> None:
    pool = ImagePool(SIZE, (1, 1, 1)).eval()
    assert levels(pool(numbered(7, 3))) == [7, 8, 9]
    assert pool.count == 0


def test_a_pool_of_size_zero_returns_its_input() -> None:
    assert levels(ImagePool(0, (1, 1, 1))(numbered(7, 3))) == [7, 8, 9]


def test_the_state_dict_contains_the_stored_images() -> None:
    pool, other = ImagePool(SIZE, (1, 1, 1)), ImagePool(SIZE, (1, 1, 1))
    pool(numbered(3, 2))
    other.load_state_dict(pool.state_dict())
    assert levels(other(numbered(9, 3))) == [9, 10, 11]
    assert other.images.flatten().tolist() == [3, 4, 9, 10, 11]
