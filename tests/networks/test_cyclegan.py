"""The networks of translation: sizes, channels, borders, normalization, and what one logit of a critic sees."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.networks.cyclegan import (
    InstanceNorm,
    MirroredConv2d,
    Translator,
    blocks_for,
    mirrored,
    patch,
    patch_critic,
    strides_for,
)

ODD = [(1, 28, 28), (3, 37, 18), (1, 1, 2), (2, 5, 64)]


@pytest.mark.parametrize("target", ODD)
@pytest.mark.parametrize("source", ODD)
def test_a_translator_leads_from_any_shape_to_any_other(source: tuple[int, int, int], target: tuple[int, int, int]) -> None:
    network = Translator(DataSpec(*source), DataSpec(*target), features=4, blocks=1, halvings=2)
    images = network(torch.rand(2, *source))
    assert images.shape == (2, *target)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    images.sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("shape", ODD)
def test_a_critic_judges_images_of_any_size(shape: tuple[int, int, int]) -> None:
    logits = patch_critic(DataSpec(*shape), features=4)(torch.rand(2, *shape))
    assert logits.shape[:2] == (2, 1)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("channels", "outputs"), [(1, 5), (5, 1), (3, 3)])
def test_a_mirrored_convolution_is_the_stock_one_over_a_mirrored_image(channels: int, outputs: int) -> None:
    torch.manual_seed(0)
    layer = MirroredConv2d(channels, outputs, 7)
    features = torch.randn(2, channels, 9, 11, requires_grad=True)
    weight, bias = layer.conv.weight, layer.conv.bias
    turned = weight.flip(2, 3).transpose(0, 1) if outputs == 1 else weight
    expected = F.conv2d(F.pad(features, (3, 3, 3, 3), mode="reflect"), turned, bias)
    torch.testing.assert_close(layer(features), expected, rtol=1e-5, atol=1e-5)
    (got,) = torch.autograd.grad(layer(features).square().sum(), features)
    (wanted,) = torch.autograd.grad(expected.square().sum(), features)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_an_image_that_is_too_small_to_be_mirrored_repeats_its_border() -> None:
    assert mirrored(torch.tensor([[[[1.0, 2.0]]]]), 1).tolist() == [[[[1, 1, 2, 2]] * 3]]


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_equals_the_stock_layer(batch: int) -> None:
    torch.manual_seed(0)
    features = 3 + 2 * torch.randn(batch, 4, 5, 6)
    torch.testing.assert_close(InstanceNorm()(features), nn.InstanceNorm2d(4)(features))


def test_instance_norm_leaves_a_single_pixel_as_it_is() -> None:
    features = torch.randn(1, 4, 1, 1)
    assert torch.equal(InstanceNorm()(features), features)


def test_six_blocks_below_256_pixels_and_nine_from_there_on() -> None:
    assert [blocks_for(side, side) for side in (28, 128, 255, 256, 512)] == [6, 6, 6, 9, 9]


@pytest.mark.parametrize(("side", "sees"), [(12, 7), (28, 16), (64, 34), (128, 70), (256, 70)])
def test_a_logit_of_a_critic_sees_a_patch_that_suits_the_image(side: int, sees: int) -> None:
    assert patch(strides_for(side)) == sees
    layers = patch_critic(DataSpec(1, side, side), 2)
    critic = nn.Sequential(*(nn.Identity() if isinstance(layer, InstanceNorm) else layer for layer in layers))  # it sees the map
    images = torch.full((1, 1, side, side), 0.3, requires_grad=True)
    logits = critic(images)
    middle = logits.shape[2] // 2
    (slope,) = torch.autograd.grad(logits[0, 0, middle, middle], images)
    rows, columns = (slope[0, 0] != 0).nonzero(as_tuple=True)
    assert [int(axis.max() - axis.min() + 1) for axis in (rows, columns)] == [sees, sees]


def test_the_paper_s_translator_has_the_parameters_of_the_authors_program() -> None:
    # resnet_9blocks with instance norm, 3 channels: 11.378 million; the 70x70 critic: 2.765 million
    spec = DataSpec(3, 256, 256)
    with torch.device("meta"):
        networks = (Translator(spec, spec, 64, blocks_for(256, 256), 2), patch_critic(spec, 64))
    assert [sum(item.numel() for item in network.parameters()) for network in networks] == [11_378_179, 2_764_737]
