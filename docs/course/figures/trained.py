"""Runs of the course: each is trained once into `runs/course/`, and opened there afterwards."""

from pathlib import Path
from typing import Any

import simulacra

RUNS = Path("runs/course")


def trained(name: str, family: str, **settings: Any) -> simulacra.Model:
    """Return the model of the run with this name; it is trained with these settings if the run does not exist."""
    if (RUNS / name / "checkpoints").exists():
        return simulacra.open(RUNS / name, quiet=True)
    return simulacra.train(family, out=RUNS / name, threads=1, quiet=True, **settings)


def vae_mnist() -> simulacra.Model:
    """Return the VAE of the recipe `vae-mnist`: 22 epochs."""
    return trained("vae-mnist", "vae", recipe="recipes/vae-mnist.toml")


def gan_mnist() -> simulacra.Model:
    """Return the GAN of the recipe `gan-mnist`: dense networks, 20 epochs."""
    return trained("gan-mnist", "gan", recipe="recipes/gan-mnist.toml")


def diffusion_mnist() -> simulacra.Model:
    """Return the diffusion model of the recipe `diffusion-unconditional-mnist`: 2,500 steps."""
    return trained("diffusion-mnist", "diffusion", recipe="recipes/diffusion-unconditional-mnist.toml")


def autoencoder_mnist(network: str, epochs: int) -> simulacra.Model:
    """Return an autoencoder of MNIST with 16 latents, `dense` or `conv`, trained for some epochs."""
    settings = {"data": "mnist", "preset": network, "latent_dim": 16, "batch": 64, "lr": 3e-3, "warmup": 0.05, "clip": 100.0}
    return trained(f"autoencoder-{network}-{epochs}", "autoencoder", duration=f"{epochs}ep", **settings)
