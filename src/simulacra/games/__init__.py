"""Shared base classes of families: adversarial, variational and denoising training."""
