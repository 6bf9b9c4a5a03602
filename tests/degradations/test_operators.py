"""Every degradation: adjoints, clipping, what stays known, random numbers, independence of the other images, any size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.randomness import Streams
from simulacra.degradations import (
    OPERATORS,
    Degradation,
    FixedMask,
    LinearOperator,
    apply_one_of,
    descriptions,
    parse,
    parse_list,
)
from simulacra.degradations.masks import largest

TEXTS = (
    *("quadrants:1", "quadrants:2", "quadrants:3", "box", "box:0.3", "box:random", "box:0.4:random", "random-mask:0.7"),
    *("columns:0.25", "rows:0.5", "left", "right", "top", "bottom", "centre", "blur:0.5", "blur:3", "downscale:2"),
    *("downscale:3", "noise:0.2", "fourier-columns:0.25", "fourier-columns:0.5:0.1", "fourier-rows:0.25"),
)
COMPOSED = ("blur:1+noise:0.1", "downscale:2+random-mask:0.5", "box+noise:0.1", "left+random-mask:0.5")
SHAPES = ((1, 28, 28), (3, 13, 9), (2, 1, 2), (1, 1, 1))


def images_of(count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def drawing(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Callable[..., Tensor]:
    source = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(count, *shape, generator=source, dtype=dtype)


def test_every_operator_is_tested_and_described() -> None:
    assert {text.partition(":")[0] for text in TEXTS} == set(OPERATORS)
    assert [form.partition(":")[0].removesuffix("[") for form in descriptions()] == list(OPERATORS)
    assert all(len(text) > 5 and text[-1] != "." for text in descriptions().values())


@pytest.mark.parametrize("text", [*TEXTS, *COMPOSED])
def test_the_text_of_a_degradation_names_the_same_degradation(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", TEXTS)
def test_the_adjoint_of_a_linear_operator_moves_to_the_other_side_of_an_inner_product(text: str, shape: tuple[int, ...]) -> None:
    (operator,) = parse(text).operators
    assert operator.linear == isinstance(operator, LinearOperator)
    if not isinstance(operator, LinearOperator):
        pytest.skip("not linear")
    source = torch.Generator().manual_seed(5)
    x, y = (torch.randn(4, *shape, generator=source, dtype=torch.float64) for _ in range(2))
    left = (operator.forward(x, drawing(4)) * y).flatten(1).sum(1)
    right = (x * operator.adjoint(y, drawing(4))).flatten(1).sum(1)
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
    both = operator.forward(2 * x - 3 * y, drawing(4))
    torch.testing.assert_close(both, 2 * operator.forward(x, drawing(4)) - 3 * operator.forward(y, drawing(4)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", [*TEXTS, *COMPOSED])
def test_images_stay_in_range_and_known_pixels_are_those_of_the_original(text: str, shape: tuple[int, ...]) -> None:
    images = images_of(5, shape)
    before = images.clone()
    degradation = parse(text)
    degraded = degradation.apply(images, drawing(5))
    assert torch.equal(images, before)
    assert degraded.image.shape == images.shape
    assert degraded.known.shape == (5, 1, *shape[1:])
    assert degraded.image.dtype == degraded.known.dtype == torch.float32
    assert degraded.image.min() >= 0
    assert degraded.image.max() <= 1
    assert set(degraded.known.unique().tolist()) <= {0.0, 1.0}
    kept = degraded.known.bool().expand_as(images)
    assert torch.equal(degraded.image[kept], images[kept])
    if degradation.masks:
        assert (degraded.image[~kept] == 0).all()
    else:
        assert not kept.any()


@pytest.mark.parametrize("text", [*TEXTS, *COMPOSED])
def test_a_degraded_image_is_a_function_of_its_own_image_and_random_numbers(text: str) -> None:
    images = images_of(4, (3, 10, 7))
    together = parse(text).apply(images, Streams(images).draw)
    alone = parse(text).apply(images[2:3], Streams(images[2:3]).draw)
    torch.testing.assert_close(alone.image, together.image[2:3], rtol=1e-6, atol=1e-6)
    assert torch.equal(alone.known, together.known[2:3])


RANDOM = ("random-mask", "columns", "rows", "noise", "fourier-columns", "fourier-rows")  # and random boxes


@pytest.mark.parametrize("text", TEXTS)
def test_random_operators_differ_between_images_and_draws_and_the_others_draw_nothing(text: str) -> None:
    images = images_of(1, (1, 28, 28)).expand(2, -1, -1, -1)
    numbers = []

    def draw(*shape: int) -> Tensor:
        numbers.append(shape)
        return source(*shape)

    source = drawing(2)
    first = parse(text).apply(images, draw).image
    random = text.partition(":")[0] in RANDOM or text.endswith("random")
    assert bool(numbers) == random
    assert torch.equal(first[0], first[1]) == (not random)
    assert torch.equal(first, parse(text).apply(images, drawing(2, seed=1)).image) == (not random)


def kept_of(text: str, shape: tuple[int, int] = (28, 28), count: int = 1) -> Tensor:
    return parse(text).apply(torch.ones(count, 1, *shape), drawing(count)).known.bool()[:, 0]


def test_masks_remove_the_part_that_they_name() -> None:
    for text, missing in {
        "left": (slice(None), slice(0, 14)),
        "right": (slice(None), slice(14, 28)),
        "top": (slice(0, 14), slice(None)),
        "bottom": (slice(14, 28), slice(None)),
        "centre": (slice(7, 21), slice(7, 21)),
        "box": (slice(7, 21), slice(7, 21)),
        "quadrants:3": (slice(14, 28), slice(14, 28)),
        "quadrants:2": (slice(None), slice(14, 28)),
    }.items():
        expected = torch.ones(28, 28, dtype=torch.bool)
        expected[missing] = False
        assert torch.equal(kept_of(text)[0], expected), text
    assert torch.equal(kept_of("quadrants:1")[0], kept_of("top+right")[0])


def test_masks_keep_the_share_that_they_name() -> None:
    assert (kept_of("columns:0.25", (28, 20), 50).any(1).sum(1) == 5).all()
    assert (kept_of("columns:0.25", (28, 20), 50).all(1).sum(1) == 5).all()
    assert (kept_of("rows:0.5", (28, 20), 50).all(2).sum(1) == 14).all()
    assert (kept_of("columns:0.01", (4, 4), 50).any(1).sum(1) == 1).all()
    boxes = ~kept_of("box:0.25:random", (28, 20), 500)
    assert (boxes.sum((1, 2)) == 7 * 5).all()
    assert boxes.any(0).all()  # every pixel is in some box
    share = 1 - kept_of("random-mask:0.7", (50, 50), 40).double().mean()
    assert abs(share - 0.7) < 5 * (0.7 * 0.3 / 100_000) ** 0.5  # five standard errors: 6e-7


def test_a_mask_of_ones_own_removes_its_dark_pixels_and_refuses_another_size() -> None:
    known = torch.tensor([[True, False, True], [False, False, True]])
    degradation = Degradation((FixedMask(known, "hole.png"),))
    images = images_of(2, (3, 2, 3))
    degraded = degradation.apply(images, drawing(2))
    assert degradation.masks
    assert str(degradation) == "hole.png"
    assert torch.equal(degraded.known[1, 0].bool(), known)
    assert torch.equal(degraded.image, images * known)
    with pytest.raises(UsageError, match=r"hole.png has 3x2 pixels, expected 9x8"):
        degradation.apply(images_of(2, (3, 8, 9)), drawing(2))


def test_blur_keeps_constants_and_the_mean_and_equals_a_gaussian_inside() -> None:
    operator = parse("blur:1.3").operators[0]
    assert isinstance(operator, LinearOperator)
    constant = torch.full((1, 2, 9, 6), 0.4, dtype=torch.float64)
    torch.testing.assert_close(operator.forward(constant, drawing(1)), constant)
    images = images_of(3, (1, 9, 6), torch.float64)
    torch.testing.assert_close(operator.forward(images, drawing(3)).mean((2, 3)), images.mean((2, 3)))
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[..., 20, 20] = 1
    places = torch.arange(-20, 21, dtype=torch.float64)
    profile = torch.exp(-(places**2) / (2 * 1.3**2))
    profile /= profile.sum()
    torch.testing.assert_close(operator.forward(point, drawing(1))[0, 0], profile[:, None] * profile[None])


def test_blur_mirrors_the_image_at_its_border() -> None:
    operator = parse("blur:1.5").operators[0]
    assert isinstance(operator, LinearOperator)
    images = images_of(1, (1, 8, 8), torch.float64)
    tiled = torch.cat([images.flip(3), images, images.flip(3)], 3)
    tiled = torch.cat([tiled.flip(2), tiled, tiled.flip(2)], 2)
    torch.testing.assert_close(
        operator.forward(tiled, drawing(1))[..., 8:16, 8:16], operator.forward(images, drawing(1)), rtol=0, atol=1e-6
    )


def test_downscaling_fills_blocks_with_their_mean_also_where_the_border_cuts_them() -> None:
    images = torch.arange(15.0).view(1, 1, 3, 5) / 15
    expected = torch.tensor([[3.0, 3, 5, 5, 6.5], [3, 3, 5, 5, 6.5], [10.5, 10.5, 12.5, 12.5, 14]]) / 15
    torch.testing.assert_close(parse("downscale:2").apply(images, drawing(1)).image[0, 0], expected)
    once = parse("downscale:2").apply(images_of(2, (3, 7, 6)), drawing(2)).image
    torch.testing.assert_close(parse("downscale:2").apply(once, drawing(2)).image, once)


def test_all_fourier_columns_of_the_centre_are_kept_and_as_many_others_as_the_share_names() -> None:
    operator = parse("fourier-columns:0.5:0.25").operators[0]
    assert isinstance(operator, LinearOperator)
    kept = operator.kept(torch.zeros(200, 1, 8, 16), drawing(200))[:, 0, 0].bool()  # type: ignore[attr-defined]
    assert (kept.sum(1) == 8).all()
    assert kept[:, [0, 1, 15, 2]].all()  # frequencies 0, 1, -1, 2
    assert (kept.float().mean(0)[3:15] > 0.1).all()
    assert (kept.float().mean(0)[3:15] < 0.7).all()
    low = torch.cos(2 * torch.pi * torch.arange(16, dtype=torch.float64) / 16).expand(1, 1, 8, 16)
    torch.testing.assert_close(operator.forward(low, drawing(1)), low)


def test_all_fourier_rows_are_the_columns_of_the_transposed_image() -> None:
    images = images_of(3, (1, 9, 9))
    rows = parse("fourier-rows:0.3").apply(images.mT, drawing(3)).image
    torch.testing.assert_close(parse("fourier-columns:0.3").apply(images, drawing(3)).image.mT, rows)


def test_noise_has_its_standard_deviation() -> None:
    noisy = parse("noise:0.05").apply(torch.full((20, 1, 100, 100), 0.5), drawing(20)).image
    assert abs(noisy.std() - 0.05) < 5 * 0.05 / (2 * 200_000) ** 0.5  # five standard errors: 6e-7


def test_composition_applies_operators_from_left_to_right() -> None:
    images = images_of(2, (1, 12, 12))
    both = parse("blur:1+left").apply(images, drawing(2))
    assert torch.equal(both.image, parse("left").apply(parse("blur:1").apply(images, drawing(2)).image, drawing(2)).image)
    assert not both.known.any()
    assert (parse("left+blur:1").apply(images, drawing(2)).image[..., :6] > 0).any()
    assert (
        parse("quadrants:2+top").apply(images, drawing(2)).known == parse("quadrants:1").apply(images, drawing(2)).known
    ).all()


def test_one_of_several_degradations_is_drawn_uniformly_for_each_image() -> None:
    images, degradations = images_of(900, (1, 6, 6)), parse_list("quadrants:1, quadrants:2,blur:1")
    chosen = apply_one_of(degradations, images, Streams(images).draw)
    counts = torch.tensor([(chosen.known.sum((1, 2, 3)) == known).sum() for known in (9, 18, 0)])
    assert counts.sum() == 900
    assert (counts - 300).abs().max() < 75  # 5.3 standard deviations of a binomial: 1e-7
    alone = apply_one_of(degradations, images[7:8], Streams(images[7:8]).draw)
    torch.testing.assert_close(alone.image, chosen.image[7:8])
    assert torch.equal(
        apply_one_of(degradations[:1], images, drawing(900)).image, degradations[0].apply(images, drawing(900)).image
    )


def test_the_largest_scores_are_found_also_where_some_are_equal() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    assert largest(scores, 2).tolist() == [[False, True, False, True], [True, True, False, False]]


def test_matrices_are_applied_in_full_precision_under_autocast() -> None:
    images = images_of(2, (1, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        reduced = parse("blur:2").apply(images, drawing(2)).image
    assert torch.equal(reduced, parse("blur:2").apply(images, drawing(2)).image)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blurr:1", "unknown degradation 'blurr': did you mean 'blur'"),
        ("", "unknown degradation ''"),
        ("blur", "it gives no sigma in pixels, expected a number from 0.1 to 100: write blur:1.5"),
        ("blur:big", "the sigma in pixels is 'big', expected a number"),
        ("blur:0", "the sigma in pixels is 0, expected a number from 0.1 to 100"),
        ("blur:nan", "the sigma in pixels is nan"),
        ("quadrants:4", "the number of quadrants kept is '4', expected 1, 2 or 3"),
        ("quadrants", "expected 1, 2 or 3: write quadrants:1"),
        ("box:2", "the share of each side is 2, expected a number from 0.01 to 0.99"),
        ("box:0.5:0.5", "expected SHARE, random or SHARE:random"),
        ("random-mask:1", "the share of missing pixels is 1"),
        ("left:0.5", "it takes no argument: write left"),
        ("downscale:2.5", "the factor is 2.5, expected a whole number"),
        ("downscale:1", "the factor is 1, expected a number from 2 to 64"),
        ("noise:-1", "the sigma is -1"),
        ("columns:x", "the share of columns kept is 'x'"),
        ("fourier-columns:0.25:0.5", "the centre, 0.5, is more than the share 0.25"),
        ("quadrants:1+", "unknown degradation ''"),
    ],
)
def test_wrong_degradations_are_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(text)
    assert message in str(refusal.value)


def test_an_empty_list_of_degradations_is_refused() -> None:
    with pytest.raises(UsageError, match="no degradation: name one"):
        parse_list(" , ")
