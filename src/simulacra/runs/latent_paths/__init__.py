"""Paths through a latent space: between images, between noise, between classes, and along one latent at a time."""
