"""The weights with which a training begins, and the random numbers of its steps, suffice to repeat it in plain PyTorch."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import simulacra
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches

SETTINGS: dict[str, Any] = {"network": "dense", "hidden": [32], "latent_dim": 4, "seed": 3}


def test_a_training_in_plain_pytorch_has_the_same_losses(tmp_path):
    constant: dict[str, Any] = {
        "warmup": 0,
        "schedule": "constant",
        "ema": 0,
        "precision": "float32",
        "lr": 1e-3,
        "batch": 64,
        "log_every": 1,
    }
    model = simulacra.train("vae", data="digits", duration="5", **SETTINGS, **constant, out=tmp_path / "run", quiet=True)
    logged = [record["vae/loss"] for record in model.run.reports.read() if record["kind"] == "train"]
    network: Any = simulacra.untrained("vae", dataset=model.dataset, **SETTINGS)
    assert network.training
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for step in range(5):
        images = Batches(model.dataset.train, 64, seed=3).batch(step).images
        reseed(3, "step", step, 0, 0, 0)
        hidden = network.encoder(images)
        mean, log_var = network.mean(hidden), network.log_var(hidden)
        logits = network.decoder(mean + (log_var / 2).exp() * torch.randn_like(mean))
        distortion = F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2, 3))
        rate = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        loss = (distortion + rate).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(logged, rel=1e-5)
    weights = nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.testing.assert_close(weights, nn.utils.parameters_to_vector(model.module.parameters()), rtol=1e-5, atol=1e-6)
