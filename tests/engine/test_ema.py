"""The EMA of weights and buffers: the first update is not a copy, live weights are only read (trap 15)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.config import Config
from simulacra.core.family import Family, Loss, Turn
from simulacra.engine.ema import EMA


@dataclass(frozen=True)
class NoSettings(Config):
    """Nothing to set."""


class Normalized(Family):
    """A linear layer and a batch norm, with parameters, float buffers and an integer buffer."""

    Config = NoSettings
    summary = "a family of these tests"
    paper = "none"

    def __init__(self, config: NoSettings, data: DataSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(data.dimensions, 3), nn.BatchNorm1d(3))

    def players(self) -> dict[str, nn.Module]:
        return {"only": self}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._loss),)

    def _loss(self, batch: Batch) -> dict[str, Loss]:
        return {"only": Loss(self.layers(batch.images.flatten(1)).square().sum())}


def new() -> Normalized:
    torch.manual_seed(0)
    return Normalized(NoSettings(), DataSpec(1, 2, 2))


def move(family: Normalized) -> None:
    """Change every parameter and every buffer."""
    family.layers(torch.randn(8, 4) * 3 + 1)
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(torch.randn_like(parameter))


def snapshot(family: Family) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in family.state_dict().items()}


def exact(state: dict[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    return {name: tensor.double().numpy().copy() for name, tensor in state.items()}


def test_twenty_updates_equal_a_float64_reference_in_parameters_and_buffers() -> None:
    family = new()
    ema = EMA(family, decay=0.6)  # reached after 14 updates: both regimes are in
    reference = exact(snapshot(family))
    for update in range(1, 21):
        move(family)
        ema.update()
        decay = min(0.6, (1 + update) / (10 + update))
        for name, live in exact(snapshot(family)).items():
            reference[name] = decay * reference[name] + (1 - decay) * live
    got = ema.family.state_dict()
    assert got["layers.1.num_batches_tracked"].item() == 20  # counts are copied
    for name in ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.running_mean", "layers.1.running_var"):
        np.testing.assert_allclose(got[name].numpy(), reference[name], rtol=1e-5, atol=1e-5)


def test_the_first_update_keeps_two_elevenths_of_the_initial_weights() -> None:
    family = new()
    ema, before = EMA(family, decay=0.999), snapshot(family)
    move(family)
    ema.update()
    live, got = snapshot(family), ema.family.state_dict()
    for name in ("layers.0.weight", "layers.1.running_var"):
        torch.testing.assert_close(got[name], before[name] * 2 / 11 + live[name] * 9 / 11)
        assert not torch.allclose(got[name], live[name], atol=1e-3)  # decay 0 would copy


def test_updating_and_using_the_ema_does_not_change_the_live_weights() -> None:
    family = new().train()
    ema = EMA(family, decay=0.9)
    move(family)
    before = snapshot(family)
    ema.update()
    ema.family.turns()[0].losses(Batch(torch.rand(5, 1, 2, 2)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in family.state_dict().items())
    assert family.training
    assert all(parameter.requires_grad for parameter in family.parameters())


def test_the_ema_is_in_evaluation_mode_without_gradients_and_shares_no_memory() -> None:
    family = new()
    ema = EMA(family, decay=0.9)
    assert not any(module.training for module in ema.family.modules())
    assert not any(parameter.requires_grad for parameter in ema.family.parameters())
    live = {tensor.data_ptr() for tensor in family.state_dict().values()}
    assert not live & {tensor.data_ptr() for tensor in ema.family.state_dict().values()}


def test_the_ema_of_constant_weights_is_those_weights() -> None:
    family = new()
    ema = EMA(family, decay=0.999)
    for _ in range(5):
        ema.update()
    for name, tensor in family.state_dict().items():
        torch.testing.assert_close(ema.family.state_dict()[name], tensor, rtol=1e-6, atol=0)


@pytest.mark.parametrize("normalized", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_the_ema_of_a_spectrally_normalized_weight_has_the_spectral_norm_1(normalized: Callable[..., nn.Module]) -> None:
    family = new()
    layer: Any = normalized(family.layers[0])
    with torch.no_grad():
        layer(torch.zeros(2, 4))  # the older function computes the weight here; without gradients it can be copied
    averaged: Any = EMA(family, decay=0.999)
    weight = next(value for name, value in layer.named_parameters() if "orig" in name)
    for update in range(40):  # the largest singular value has another direction in each
        with torch.no_grad():
            weight.copy_(torch.eye(3, 4) * (0.9 + torch.eye(3)[update % 3])[:, None])
        for _ in range(9):
            layer(torch.zeros(2, 4))
        averaged.update()
    averaged.family.layers[0](torch.zeros(2, 4))
    assert abs(torch.linalg.matrix_norm(averaged.family.layers[0].weight, 2).item() - 1) < 0.05
