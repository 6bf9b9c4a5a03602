"""Losses and likelihoods as pure functions."""
