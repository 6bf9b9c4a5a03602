"""Synthetic data: toy distributions, known densities, image transforms."""
