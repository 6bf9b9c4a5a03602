"""Group normalization against PyTorch's own in float64."""

import pytest
import torch

from simulacra.networks.kernels.normalization import GroupNorm


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("groups", [1, 4, 32])
def test_outputs_slopes_and_layout_are_those_of_the_stock_layer(layout, kind, tolerance, groups):
    torch.manual_seed(0)
    features = (3 + 2 * torch.randn(2, 32, 5, 7)).to(kind).contiguous(memory_format=layout).requires_grad_()
    pull = torch.randn(2, 32, 5, 7).to(kind)
    layer = GroupNorm(groups, 32)
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    found = layer(features)
    slopes = torch.autograd.grad(found, (features, layer.weight, layer.bias), pull)
    wide = features.detach().double().requires_grad_()
    weight, bias = (part.detach().double().requires_grad_() for part in (layer.weight, layer.bias))
    expected = torch.group_norm(wide, groups, weight, bias, layer.eps)
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    for slope, reference in zip(slopes, torch.autograd.grad(expected, (wide, weight, bias), pull.double()), strict=True):
        torch.testing.assert_close(slope.double(), reference, rtol=tolerance, atol=10 * tolerance)


def test_a_layer_has_the_parameters_of_the_stock_one():
    assert GroupNorm(4, 8).state_dict().keys() == torch.nn.GroupNorm(4, 8).state_dict().keys()
