"""The optimum of the linear probe, by its gradient in float64."""

import torch
import torch.nn.functional as F

from simulacra.features.linear_probe import TOLERANCE, fit_linear_probe


def test_a_probe_that_converged_has_no_derivative_of_its_mean_loss_left() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    features = torch.randn(300, 5, generator=generator, dtype=torch.float64) + labels[:, None] * torch.linspace(0, 1, 5)
    probe, converged = fit_linear_probe(features, labels, 3)
    assert converged
    weight, bias = (item.clone().requires_grad_() for item in (probe.weight, probe.bias))
    inputs = (features - probe.mean) / probe.scale
    loss = F.cross_entropy(inputs @ weight.T + bias, labels) + weight.square().sum() / (2 * len(features))
    slopes = torch.autograd.grad(loss, (weight, bias))
    assert max(item.abs().max().item() for item in slopes) < 10 * TOLERANCE
