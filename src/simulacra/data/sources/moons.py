"""Two moons: points along two arcs, whose density is known."""

from simulacra.data.synthetic.toys import Toy

SOURCE = Toy("moons", "two half circles that reach into each other, in two dimensions, of known density", 2)
