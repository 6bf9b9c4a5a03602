"""Gaussians on a grid of five by five: points whose density is known."""

from simulacra.data.synthetic.toys import Toy

SOURCE = Toy("grid", "25 modes on a square grid in two dimensions, with known density", 25)
