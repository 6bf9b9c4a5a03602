"""Differentiable augmentation: the effect of each augmentation, independence of images, gradients."""

import pytest
import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.objectives.augmentation import AUGMENTATIONS, augment, color, cutout, parse_augmentations, translation

GREY = 0.5


def images(count: int = 64, channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_are_augmented_independently_and_keep_their_shape(name: str) -> None:
    same = images(1).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    changed = augment(same, (name,))
    assert changed.shape == same.shape
    assert len({image.numpy().tobytes() for image in changed}) > 10


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass_to_the_images(name: str) -> None:
    batch = images(3).double().requires_grad_()

    def changed(values: Tensor) -> Tensor:
        torch.manual_seed(3)
        return augment(values, (name,)).square().mean()

    (gradient,) = torch.autograd.grad(changed(batch), batch)
    direction = torch.randn(batch.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    step = 1e-6
    difference = (changed(batch.detach() + step * direction) - changed(batch.detach() - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-5)


def test_color_changes_brightness_and_contrast_within_the_ranges_of_the_paper() -> None:
    grey = images(200, channels=1)
    torch.manual_seed(0)
    changed = color(grey)
    spread = changed.flatten(1).std(1) / grey.flatten(1).std(1)
    shift = changed.mean((1, 2, 3)) - grey.mean((1, 2, 3))
    assert 0.5 <= spread.min() < 0.6
    assert 1.4 < spread.max() <= 1.5 + 1e-5
    assert -0.25 <= shift.min() < -0.2
    assert 0.2 < shift.max() <= 0.25 + 1e-5


def test_translation_is_by_whole_pixels_up_to_an_eighth_and_pads_with_grey() -> None:
    batch = images()
    torch.manual_seed(0)
    moved = translation(batch)
    offsets = set()
    for image, original in zip(moved, batch, strict=True):
        padded = torch.nn.functional.pad(original, (3, 3, 2, 2), value=GREY)
        matches = [(y, x) for y in range(5) for x in range(7) if torch.equal(padded[:, y : y + 16, x : x + 24], image)]
        assert len(matches) == 1
        offsets.update(matches)
    assert {y for y, _ in offsets} == set(range(5))
    assert {x for _, x in offsets} == set(range(7))


def test_cutout_sets_one_rectangle_of_half_of_each_side_to_grey() -> None:
    batch = images(400)
    torch.manual_seed(0)
    cut = cutout(batch)
    holes = (cut != batch).any(1)
    assert (cut[(holes[:, None]).expand_as(cut)] == GREY).all()
    sizes = {(int(hole.any(1).sum()), int(hole.any(0).sum())) for hole in holes}
    assert max(height for height, _ in sizes) == 8
    assert max(width for _, width in sizes) == 12
    assert all(int(hole.sum()) == int(hole.any(1).sum()) * int(hole.any(0).sum()) for hole in holes)


def test_no_names_return_the_images_unchanged_and_unknown_names_raise_usage_error() -> None:
    batch = images(2)
    assert augment(batch, parse_augmentations("")) is batch
    with pytest.raises(UsageError, match="did you mean 'cutout'"):
        parse_augmentations("color,cutuot")
