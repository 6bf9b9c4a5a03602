"""Preparation of images: decoded once into the cache, completely or not at all."""
