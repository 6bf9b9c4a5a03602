"""Differentiable augmentation: what each change does, one draw an image, gradients."""

import pytest
import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.objectives.augmentation import AUGMENTATIONS, augment, color, cutout, parse, translation

GREY = 0.5


def images(count: int = 64, channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_image_gets_a_draw_of_its_own_and_keeps_its_shape(name: str) -> None:
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

    (along,) = torch.autograd.grad(changed(batch), batch)
    direction = torch.randn(batch.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    step = 1e-6
    slope = (changed(batch.detach() + step * direction) - changed(batch.detach() - step * direction)) / (2 * step)
    assert (along * direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)


def test_color_is_an_affine_map_of_each_image_within_the_ranges_of_the_paper() -> None:
    grey = images(200, channels=1)
    torch.manual_seed(0)
    changed = color(grey)
    spread = changed.flatten(1).std(1) / grey.flatten(1).std(1)
    shift = changed.mean((1, 2, 3)) - grey.mean((1, 2, 3))
    assert 0.5 <= spread.min() < 0.6
    assert 1.4 < spread.max() <= 1.5 + 1e-5
    assert -0.25 <= shift.min() < -0.2
    assert 0.2 < shift.max() <= 0.25 + 1e-5


def test_translation_moves_whole_pixels_by_up_to_an_eighth_and_fills_with_grey() -> None:
    batch = images()
    torch.manual_seed(0)
    moved = translation(batch)
    seen = set()
    for image, original in zip(moved, batch, strict=True):
        padded = torch.nn.functional.pad(original, (3, 3, 2, 2), value=GREY)
        places = [(y, x) for y in range(5) for x in range(7) if torch.equal(padded[:, y : y + 16, x : x + 24], image)]
        assert len(places) == 1
        seen.update(places)
    assert {y for y, _ in seen} == set(range(5))
    assert {x for _, x in seen} == set(range(7))


def test_cutout_makes_one_square_of_half_the_side_grey_and_leaves_the_rest() -> None:
    batch = images(400)
    torch.manual_seed(0)
    cut = cutout(batch)
    holes = (cut != batch).any(1)
    assert (cut[(holes[:, None]).expand_as(cut)] == GREY).all()
    sizes = {(int(hole.any(1).sum()), int(hole.any(0).sum())) for hole in holes}
    assert max(height for height, _ in sizes) == 8
    assert max(width for _, width in sizes) == 12
    assert all(int(hole.sum()) == int(hole.any(1).sum()) * int(hole.any(0).sum()) for hole in holes)


def test_no_names_change_nothing_and_unknown_ones_are_refused() -> None:
    batch = images(2)
    assert augment(batch, parse("")) is batch
    with pytest.raises(UsageError, match="did you mean 'cutout'"):
        parse("color,cutuot")
