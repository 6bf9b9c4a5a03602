"""Conditional encoders and decoders: any size, what the output depends on, residual blocks that start as the identity."""

import pytest
import torch

from simulacra.networks.conditional_decoder import (
    ConditionalConfig,
    ConditionalDecoder,
    ConditionEncoder,
    ImageEncoder,
    ResidualBlock,
    repeated,
)


@pytest.mark.parametrize("size", [(28, 28), (13, 9), (1, 2)])
@pytest.mark.parametrize("blocks", [0, 2])
def test_feature_maps_fit_for_any_size(size: tuple[int, int], blocks: int) -> None:
    config = ConditionalConfig(size, (4, 6, 8), blocks, (10,))
    features, maps = ImageEncoder(2, config)(torch.rand(3, 2, *size))
    assert features.shape == (3, config.width) == (3, 10)
    assert [tuple(one.shape[1:]) for one in maps] == [
        (width, *here) for width, here in zip((4, 6, 8), config.sizes[1:], strict=True)
    ]
    _, skips = ConditionEncoder(2, config)(torch.rand(3, 2, *size))
    assert ConditionalDecoder(5, 7, config)(torch.rand(3, 5), skips).shape == (3, 7, *size)


def test_without_dense_layers_the_features_are_the_flattened_maps() -> None:
    config = ConditionalConfig((8, 8), (4, 6), 0, ())
    features, maps = ImageEncoder(1, config)(torch.rand(2, 1, 8, 8))
    assert features.shape == (2, config.width) == (2, 24)
    assert torch.equal(features, maps[-1].flatten(1))


def test_the_output_depends_on_the_latents_and_on_every_skip_connection() -> None:
    torch.manual_seed(0)
    config = ConditionalConfig((8, 8), (4, 6), 1, (10,))
    decoder = ConditionalDecoder(3, 1, config)
    _, skips = ConditionEncoder(2, config)(torch.rand(2, 2, 8, 8))
    latents, skips = torch.randn(2, 3, requires_grad=True), [skip.detach().requires_grad_() for skip in skips]
    assert len(skips) == 3
    for gradient in torch.autograd.grad(decoder(latents, skips).sum(), [latents, *skips]):
        assert gradient.abs().sum() > 0


def test_a_residual_block_starts_as_the_identity() -> None:
    features = torch.randn(2, 5, 4, 4)
    assert torch.equal(ResidualBlock(5)(features), features)


def test_repetition_keeps_the_order_of_images_and_the_memory_layout() -> None:
    values = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    twice = repeated(values, 2)
    assert torch.equal(twice.unflatten(0, (2, 2))[1], values)
    assert twice.is_contiguous(memory_format=torch.channels_last)
    assert repeated(values, 1) is values
