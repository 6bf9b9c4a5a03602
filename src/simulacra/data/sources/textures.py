"""Procedural textures without defects; `detect evaluate --anomalies textures-defects` has those with defects and their masks."""

from simulacra.data.source import Block, LocalSource, Side, array_material

_COUNTS: tuple[tuple[Side, int], ...] = (("train", 3000), ("test", 600))
_NAMES = ("weave", "tiles", "grain")
_VERSION = 1  # raise when the images change


def _blocks() -> list[Block]:
    from simulacra.data.synthetic.textures import normal_images  # imports torch, which listing sources must not

    return [Block(side, *normal_images(count, side)) for side, count in _COUNTS]


_MATERIAL = array_material("textures", f"textures-{_VERSION}", _blocks, _NAMES)
_SIZE = "3,000 + 600 images, 64x64 grey, 3 classes"
SOURCE = LocalSource(
    "textures", "woven threads, tiles and grain, generated", _SIZE, "embedded", lambda config, progress: _MATERIAL
)
