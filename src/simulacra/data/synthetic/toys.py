"""Two-dimensional toy data, stored as images of two pixels and sampled from known densities with a fixed seed."""

from simulacra.data.source import Block, LocalSource, Side, array_material

_COUNTS: tuple[tuple[Side, int], ...] = (("train", 50_000), ("test", 10_000))
_VERSION = 1  # raise when the sampled points change


def toy(name: str, summary: str, modes: int) -> LocalSource:
    """Return a source of points sampled from the known density of this name; the class of a point is its mode."""
    material = array_material(name, f"{name}-{_VERSION}", lambda: _blocks(name), tuple(map(str, range(modes))))
    size = f"50,000 + 10,000 points as images, 1x2 grey, {modes} modes"
    return LocalSource(name, summary, size, "embedded", lambda config, progress: material)


def _blocks(name: str) -> list[Block]:
    from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES  # imports torch, which listing sources must not

    sampled = [(side, *KNOWN_DENSITIES[name].sample(count, 0, side)) for side, count in _COUNTS]
    return [Block(side, points[:, None, :, None], modes) for side, points, modes in sampled]
