"""Eight Gaussians on a ring: points whose density is known."""

from simulacra.data.synthetic.toys import toy

SOURCE = toy("ring", "eight modes on a circle in two dimensions, with known density", 8)
