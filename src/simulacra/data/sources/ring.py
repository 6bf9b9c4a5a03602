"""Eight Gaussians on a ring: points whose density is known."""

from simulacra.data.synthetic.toys import Toy

SOURCE = Toy("ring", "eight modes on a circle in two dimensions, with known density", 8)
