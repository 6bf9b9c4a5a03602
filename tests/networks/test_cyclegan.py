"""The networks of CycleGAN: image sizes, channels, padding, normalization, receptive fields, parameter counts."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.networks.cyclegan import (
    InstanceNorm,
    ReflectionPaddedConv2d,
    ResNetGenerator,
    patch_discriminator,
    receptive_field,
    reflection_padded,
    residual_block_count,
    strided_layer_count,
)

ODD = [(1, 28, 28), (3, 37, 18), (1, 1, 2), (2, 5, 64)]


@pytest.mark.parametrize("target", ODD)
@pytest.mark.parametrize("source", ODD)
def test_a_generator_maps_any_image_shape_to_any_other(source: tuple[int, int, int], target: tuple[int, int, int]) -> None:
    network = ResNetGenerator(DataSpec(*source), DataSpec(*target), features=4, blocks=1, downsamplings=2)
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
def test_a_discriminator_accepts_images_of_any_size(shape: tuple[int, int, int]) -> None:
    logits = patch_discriminator(DataSpec(*shape), features=4)(torch.rand(2, *shape))
    assert logits.shape[:2] == (2, 1)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("channels", "outputs"), [(1, 5), (5, 1), (3, 3)])
def test_the_padded_convolution_equals_pytorchs_on_a_reflection_padded_image(channels: int, outputs: int) -> None:
    torch.manual_seed(0)
    layer = ReflectionPaddedConv2d(channels, outputs, 7)
    features = torch.randn(2, channels, 9, 11, requires_grad=True)
    weight, bias = layer.conv.weight, layer.conv.bias
    rotated = weight.flip(2, 3).transpose(0, 1) if outputs == 1 else weight
    expected = F.conv2d(F.pad(features, (3, 3, 3, 3), mode="reflect"), rotated, bias)
    torch.testing.assert_close(layer(features), expected, rtol=1e-5, atol=1e-5)
    (got,) = torch.autograd.grad(layer(features).square().sum(), features)
    (reference,) = torch.autograd.grad(expected.square().sum(), features)
    torch.testing.assert_close(got, reference, rtol=1e-4, atol=1e-4)


def test_images_too_small_for_reflection_are_padded_by_replication() -> None:
    assert reflection_padded(torch.tensor([[[[1.0, 2.0]]]]), 1).tolist() == [[[[1, 1, 2, 2]] * 3]]


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_equals_pytorchs(batch: int) -> None:
    torch.manual_seed(0)
    features = 3 + 2 * torch.randn(batch, 4, 5, 6)
    torch.testing.assert_close(InstanceNorm()(features), nn.InstanceNorm2d(4)(features))


def test_instance_norm_does_not_change_a_single_pixel() -> None:
    features = torch.randn(1, 4, 1, 1)
    assert torch.equal(InstanceNorm()(features), features)


def test_there_are_six_blocks_below_256_pixels_and_nine_from_256_on() -> None:
    assert [residual_block_count(side, side) for side in (28, 128, 255, 256, 512)] == [6, 6, 6, 9, 9]


@pytest.mark.parametrize(("side", "field"), [(12, 7), (28, 16), (64, 34), (128, 70), (256, 70)])
def test_the_receptive_field_of_a_discriminator_logit_suits_the_image_size(side: int, field: int) -> None:
    assert receptive_field(strided_layer_count(side)) == field
    layers = patch_discriminator(DataSpec(1, side, side), 2)
    # without instance norm, whose statistics depend on all pixels
    network = nn.Sequential(*(nn.Identity() if isinstance(layer, InstanceNorm) else layer for layer in layers))
    images = torch.full((1, 1, side, side), 0.3, requires_grad=True)
    logits = network(images)
    middle = logits.shape[2] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], images)
    rows, columns = (gradient[0, 0] != 0).nonzero(as_tuple=True)
    assert [int(axis.max() - axis.min() + 1) for axis in (rows, columns)] == [field, field]


def test_parameter_counts_equal_those_of_the_authors_code() -> None:
    # resnet_9blocks with instance norm, 3 channels: 11.378 million; 70x70 PatchGAN: 2.765 million
    spec = DataSpec(3, 256, 256)
    with torch.device("meta"):
        networks = (ResNetGenerator(spec, spec, 64, residual_block_count(256, 256), 2), patch_discriminator(spec, 64))
    assert [sum(item.numel() for item in network.parameters()) for network in networks] == [11_378_179, 2_764_737]
