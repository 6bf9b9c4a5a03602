"""Encoders and decoders at any image size, channel count and depth."""

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.networks.encoder_decoder import EncoderDecoderConfig, NetworkConfig, decoder, encoder

networks: st.SearchStrategy[Literal["dense", "conv"]] = st.sampled_from(["dense", "conv"])
poolings: st.SearchStrategy[Literal["stride", "pool"]] = st.sampled_from(["stride", "pool"])
specs = st.builds(DataSpec, st.integers(1, 4), st.integers(1, 23), st.integers(1, 23))


@given(specs, networks, poolings, st.lists(st.integers(1, 5), min_size=1, max_size=5), st.lists(st.integers(1, 6), max_size=2))
def test_encoder_and_decoder_accept_any_image_shape(
    spec: DataSpec,
    network: Literal["dense", "conv"],
    downsample: Literal["stride", "pool"],
    features: list[int],
    hidden: list[int],
) -> None:
    config = EncoderDecoderConfig(network, features, hidden, downsample)
    down, width = encoder(spec, config)
    up = decoder(spec, config, 3, 2 * spec.channels)
    assert down(torch.rand(2, *spec.shape)).shape == (2, width)
    assert up(torch.randn(2, 3)).shape == (2, 2 * spec.channels, spec.height, spec.width)


def widths(module: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, nn.Linear)]


def test_a_dense_decoder_has_the_widths_of_the_encoder_in_reverse() -> None:
    spec, config = DataSpec(1, 28, 28), EncoderDecoderConfig("dense", hidden=(512, 256), activation="tanh")
    down, up = encoder(spec, config)[0], decoder(spec, config, 20, 1)
    assert widths(down) == [(784, 512), (512, 256)]
    assert widths(up) == [(20, 256), (256, 512), (512, 784)]
    assert sum(isinstance(module, nn.Tanh) for module in (*down.modules(), *up.modules())) == 4


def test_the_last_layer_has_no_activation() -> None:
    torch.manual_seed(0)
    for network in ("dense", "conv"):
        up = decoder(DataSpec(1, 8, 8), EncoderDecoderConfig(network), 4, 1)
        output = up(1000 * torch.randn(16, 4))
        assert output.min() < -2
        assert output.max() > 2


def test_batch_norm_follows_every_convolution_but_the_last() -> None:
    spec, config = DataSpec(3, 32, 32), EncoderDecoderConfig("conv", features=(4, 8), batch_norm=True)
    down, up = encoder(spec, config)[0], decoder(spec, config, 5, 3)
    found = [[layer.num_features for layer in part.modules() if isinstance(layer, nn.BatchNorm2d)] for part in (down, up)]
    assert found == [[4, 8], [8, 4]]
    with pytest.raises(UsageError, match="network is dense"):
        NetworkConfig.of({"network": "dense", "batch_norm": True})


def test_empty_features_of_a_convolutional_network_raise_usage_error() -> None:
    with pytest.raises(UsageError, match="features"):
        decoder(DataSpec(1, 8, 8), EncoderDecoderConfig("conv", features=()), 4, 1)
