"""Group normalization against PyTorch's own in float64."""

import pytest
import torch

from simulacra.networks.kernels.normalization import GroupNorm


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("groups", [1, 4, 32])
def test_outputs_gradients_and_memory_layout_equal_pytorchs(layout, dtype, tolerance, groups):
    torch.manual_seed(0)
    features = (3 + 2 * torch.randn(2, 32, 5, 7)).to(dtype).contiguous(memory_format=layout).requires_grad_()
    upstream = torch.randn(2, 32, 5, 7).to(dtype)
    layer = GroupNorm(groups, 32)
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    output = layer(features)
    gradients = torch.autograd.grad(output, (features, layer.weight, layer.bias), upstream)
    wide = features.detach().double().requires_grad_()
    weight, bias = (part.detach().double().requires_grad_() for part in (layer.weight, layer.bias))
    expected = torch.group_norm(wide, groups, weight, bias, layer.eps)
    assert output.is_contiguous(memory_format=layout)
    torch.testing.assert_close(output.double(), expected, rtol=tolerance, atol=tolerance)
    for gradient, reference in zip(
        gradients, torch.autograd.grad(expected, (wide, weight, bias), upstream.double()), strict=True
    ):
        torch.testing.assert_close(gradient.double(), reference, rtol=tolerance, atol=10 * tolerance)


def test_the_state_dict_has_pytorchs_keys():
    assert GroupNorm(4, 8).state_dict().keys() == torch.nn.GroupNorm(4, 8).state_dict().keys()
