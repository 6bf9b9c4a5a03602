"""Evaluation does not change a model (trap 16)."""

import pytest
import torch
from torch import nn

from simulacra.core.eval_mode import inference_mode


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def test_every_module_gets_its_own_mode_back() -> None:
    model = network().train()
    model[1].eval()  # a frozen batch norm inside a training network
    with inference_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_a_model_in_evaluation_mode_stays_in_it() -> None:
    model = network().eval()
    with inference_mode(model):
        pass
    assert not any(module.training for module in model.modules())


def test_modes_come_back_when_the_body_fails() -> None:
    model = network().train()
    with pytest.raises(ValueError, match="the body fails"), inference_mode(model):
        raise ValueError("the body fails")
    assert all(module.training for module in model.modules())
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_batch_norm_statistics_are_used_and_not_changed() -> None:
    model = network().train()
    model(torch.randn(16, 4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with inference_mode(model):
        images = torch.randn(16, 4) * 9
        alone, together = model(images[:1]), model(images)
    torch.testing.assert_close(alone, together[:1])  # in training mode the batch would decide
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_no_graph_is_built() -> None:
    model = network()
    with inference_mode(model):
        output = model(torch.randn(2, 4))
    assert output.is_inference()
    assert not output.requires_grad
