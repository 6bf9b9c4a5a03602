"""Two moons: points along two arcs, whose density is known."""

from simulacra.data.synthetic.toys import toy

SOURCE = toy("moons", "two interleaving half circles in two dimensions, with known density", 2)
