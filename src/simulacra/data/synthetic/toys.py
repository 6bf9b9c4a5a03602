"""Two-dimensional toy data, stored as images of two pixels and sampled from known densities with a fixed seed."""

from dataclasses import dataclass

from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Material, Side, array_material

_COUNTS: tuple[tuple[Side, int], ...] = (("train", 50_000), ("test", 10_000))
_VERSION = 1  # raise when the sampled points change


@dataclass(frozen=True)
class Toy:
    """A source of points sampled from the known density of its name; the class of a point is its mode."""

    name: str
    summary: str
    modes: int

    @property
    def size(self) -> str:
        """How many points, in words."""
        return f"50,000 + 10,000 points as images, 1x2 grey, {self.modes} modes"

    def place(self) -> str | None:
        """Return that the points are generated, not downloaded."""
        return "embedded"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the points."""
        return array_material(self.name, f"{self.name}-{_VERSION}", self._blocks, tuple(map(str, range(self.modes))))

    def _blocks(self) -> list[Block]:
        from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES  # imports torch, which listing sources must not

        density, blocks = KNOWN_DENSITIES[self.name], []
        for side, count in _COUNTS:
            points, modes = density.sample(count, 0, side)
            blocks.append(Block(side, points[:, None, :, None], modes))
        return blocks
