"""Two moons: points along two arcs, whose density is known."""

from simulacra.data.synthetic.toys import Toy

SOURCE = Toy("moons", "two interleaving half circles in two dimensions, with known density", 2)
