"""The U-Net: parameter counts, image sizes, conditioning on time and label, independence of images in a batch."""

import math

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.networks.unet import UNet, UNetConfig, timestep_embedding

TINY = UNetConfig((8, 16), 1, (), 0.0, "pool", "blocks")


def randomized(network: UNet) -> UNet:
    """Return the network with random values in its zero-initialized layers, which would hide errors elsewhere."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network


def images(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def test_the_ddpm_network_for_cifar_10_has_the_published_number_of_parameters() -> None:
    # 35.7 million (Ho et al. 2020, appendix B); 35,746,307 in the published weights
    with torch.device("meta"):
        network = UNet(DataSpec(3, 32, 32), 3, UNetConfig((128, 256, 256, 256), 2, (16,), 0.1, "conv", "all", 4))
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 9, 13), (1, 1, 2)])
@pytest.mark.parametrize("resampling", ["conv", "pool"])
@pytest.mark.parametrize("skips", ["all", "blocks"])
def test_any_image_size_and_channel_count_works(shape: tuple[int, int, int], resampling: str, skips: str) -> None:
    config = UNetConfig((8, 8, 16), 1, (7,), 0.1, resampling, skips)  # type: ignore[arg-type]
    network = randomized(UNet(DataSpec(*shape), shape[0] + 1, config, label_sizes=(3,)))
    outputs = network(images(2, *shape), torch.tensor([0.1, 0.9]), torch.tensor([0, 3]))
    assert outputs.shape == (2, shape[0] + 1, *shape[1:])
    assert outputs.isfinite().all()
    outputs.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_untrained_network_returns_zeros() -> None:
    network = UNet(DataSpec(1, 8, 8), 1, TINY)
    assert not network(images(2, 1, 8, 8), torch.tensor(0.5)).any()


def test_the_output_depends_on_time_and_label_and_no_label_is_a_label_of_its_own() -> None:
    network = randomized(UNet(DataSpec(1, 8, 8), 1, TINY, label_sizes=(3,))).eval()
    noisy = images(1, 1, 8, 8)
    with inference_mode(network):
        early, late = (network(noisy, torch.tensor(time)) for time in (0.2, 0.8))
        of_class = [network(noisy, torch.tensor(0.2), torch.tensor([label])) for label in range(4)]
    assert not torch.allclose(early, late)
    assert torch.equal(of_class[3], early)
    assert not torch.allclose(of_class[0], of_class[1])
    assert not torch.allclose(of_class[2], early)


def test_an_output_does_not_depend_on_other_images_of_the_batch() -> None:
    network = randomized(UNet(DataSpec(1, 8, 8), 1, TINY)).eval()
    noisy, times = images(3, 1, 8, 8), torch.tensor([0.1, 0.5, 0.9])
    with inference_mode(network):
        torch.testing.assert_close(network(noisy, times)[1:2], network(noisy[1:2], times[1:2]), rtol=1e-5, atol=1e-5)


def test_attention_connects_every_pixel_with_every_other() -> None:
    network = randomized(UNet(DataSpec(1, 16, 16), 1, UNetConfig((8,), 1, (), 0.0, "pool", "blocks"))).eval()
    noisy = images(1, 1, 16, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(network(noisy, torch.tensor(0.5))[0, 0, 0, 0], noisy)
    assert gradient[0, 0, -1, -1] != 0


def test_times_are_embedded_as_sines_and_cosines_of_steps_0_to_1000() -> None:
    found = timestep_embedding(torch.tensor([0.0, 0.003]), 6)
    angles = [3 * 10_000 ** (-k / 2) for k in range(3)]
    assert found[1].tolist() == pytest.approx([*map(math.sin, angles), *map(math.cos, angles)], rel=1e-5)
    assert found[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert timestep_embedding(torch.tensor([0.5]), 5).shape == (1, 5)


def test_empty_features_raise_usage_error() -> None:
    with pytest.raises(UsageError, match="features"):
        UNetConfig(())


def test_the_small_preset_has_under_a_million_parameters_and_250_million_flops() -> None:
    small = UNetConfig((32, 64, 64), 1, (), 0.0, "pool", "blocks")
    network = UNet(DataSpec(1, 28, 28), 1, small, label_sizes=(10,)).eval()
    with inference_mode(network), FlopCounterMode(display=False) as counter:
        network(images(1, 1, 28, 28), torch.tensor(0.5))
    assert sum(parameter.numel() for parameter in network.parameters()) < 1_000_000
    assert counter.get_total_flops() < 250e6, counter.get_total_flops()
