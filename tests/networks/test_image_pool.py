"""The image pool against a plain one (trap 10)."""

import torch
from torch import Tensor

from simulacra.networks.image_pool import ImagePool

SIZE = 5


class PlainPool:
    """The pool in the words of Zhu et al. 2017, section 7.1, with the draws of ours."""

    def __init__(self, size: int) -> None:
        self.size, self.kept = size, list[Tensor]()

    def query(self, images: Tensor) -> Tensor:
        swaps, places = torch.rand(len(images)), torch.randint(self.size, (len(images),))
        shown = []
        for image, swap, place in zip(images, swaps, places, strict=True):
            if len(self.kept) < self.size:
                self.kept.append(image)
                shown.append(image)
            elif swap < 0.5:
                shown.append(self.kept[place])
                self.kept[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def numbered(first: int, count: int) -> Tensor:
    """Return images of one pixel whose levels are their numbers: float [count 1 1 1] in [0, 1]."""
    return (torch.arange(first, first + count) / 255).view(count, 1, 1, 1)


def levels(images: Tensor) -> list[int]:
    return [int(level) for level in (images * 255).round().flatten()]


def test_while_it_fills_every_image_is_kept_and_shown() -> None:
    pool = ImagePool(SIZE, (1, 1, 1))
    assert levels(pool(numbered(0, 2))) == [0, 1]
    assert levels(pool(numbered(2, 3))) == [2, 3, 4]
    assert pool.count == SIZE
    assert pool.images.flatten().tolist() == [0, 1, 2, 3, 4]


def test_it_shows_and_keeps_what_a_plain_pool_does() -> None:
    pool, plain = ImagePool(SIZE, (1, 1, 1)), PlainPool(SIZE)
    for first in range(0, 240, 3):  # the second batch of three passes the border between filling and full
        torch.manual_seed(first)
        expected = plain.query(numbered(first, 3))
        torch.manual_seed(first)
        assert levels(pool(numbered(first, 3))) == levels(expected)
        assert pool.images.flatten().tolist()[: len(plain.kept)] == levels(torch.stack(plain.kept))


def test_half_of_what_a_full_pool_shows_is_new() -> None:
    # 4000 images, each new with probability 1/2: 5 standard errors are 0.04, two-sided 6e-7
    torch.manual_seed(0)
    pool = ImagePool(50, (1, 1, 1))
    pool(torch.zeros(50, 1, 1, 1))
    shares = []
    for _ in range(4000):
        pool.images.zero_()
        shares.append(float(pool(torch.ones(1, 1, 1, 1)).item()))
    assert abs(sum(shares) / len(shares) - 0.5) < 0.04


def test_what_is_shown_has_256_levels_and_no_graph() -> None:
    images = torch.rand(4, 3, 5, 5, requires_grad=True)
    shown = ImagePool(4, (3, 5, 5))(images)
    assert not shown.requires_grad
    assert torch.equal(shown * 255, (shown * 255).round())
    assert (shown - images).abs().max() <= 0.5 / 255 + 1e-6


def test_looking_neither_fills_nor_empties_it() -> None:
    pool = ImagePool(SIZE, (1, 1, 1)).eval()
    assert levels(pool(numbered(7, 3))) == [7, 8, 9]
    assert pool.count == 0


def test_a_pool_of_no_images_shows_what_comes() -> None:
    assert levels(ImagePool(0, (1, 1, 1))(numbered(7, 3))) == [7, 8, 9]


def test_its_images_are_part_of_its_state() -> None:
    pool, other = ImagePool(SIZE, (1, 1, 1)), ImagePool(SIZE, (1, 1, 1))
    pool(numbered(3, 2))
    other.load_state_dict(pool.state_dict())
    assert levels(other(numbered(9, 3))) == [9, 10, 11]
    assert other.images.flatten().tolist() == [3, 4, 9, 10, 11]
