"""Faster CPU implementations of PyTorch layers, with the same parameters and outputs."""
