"""Simulacra: generative models of images that people can train, measure and trust."""
