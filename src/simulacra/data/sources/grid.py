"""Gaussians on a grid of five by five: points whose density is known."""

from simulacra.data.synthetic.toys import toy

SOURCE = toy("grid", "25 modes on a square grid in two dimensions, with known density", 25)
