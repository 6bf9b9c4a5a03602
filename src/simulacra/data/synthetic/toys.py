"""Points of the plane as the smallest of images: data whose density is known, drawn from a fixed seed."""

from dataclasses import dataclass

from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.source import Block, Material, Side, array_material

_COUNTS: tuple[tuple[Side, int], ...] = (("train", 50_000), ("test", 10_000))
SHAPE = (1, 1, 2)  # [c h w] of a point: its x and its y, each of 256 levels
_DRAWN = 1  # raised when the same name gives other points


@dataclass(frozen=True)
class Toy:
    """A source of points drawn from the known density of its name; their classes are the modes that they come from."""

    name: str
    summary: str
    modes: int

    @property
    def size(self) -> str:
        """How many points, in words."""
        return f"50,000 + 10,000 points as images, 1x2 grey, {self.modes} modes"

    def place(self) -> str | None:
        """Return that nothing has to be fetched."""
        return "embedded"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the points; the key changes when their law does."""
        return array_material(self.name, f"{self.name}-{_DRAWN}", self._blocks, tuple(map(str, range(self.modes))))

    def _blocks(self) -> list[Block]:
        from simulacra.data.synthetic.known_densities import LAWS  # here, since it needs torch, and lists of sources must not

        law, blocks = LAWS[self.name], []
        for side, count in _COUNTS:
            points, modes = law.sample(count, 0, side)
            blocks.append(Block(side, points[:, None, :, None], modes))
        return blocks
