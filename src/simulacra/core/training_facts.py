"""Facts about the images and the device of a training, by which settings that are not given are chosen."""

from dataclasses import dataclass

from simulacra.core.batch import DataSpec


@dataclass(frozen=True)
class TrainingFacts:
    """Facts about a training on images of one's own.

    images: number of training images, of the smallest domain; photographs: whether they are photographs in colour, see
    `training/photographs.py`; black_and_white: whether nearly all pixels are nearly black or white, as in MNIST; gpu: whether the
    training computes on a GPU.
    """

    spec: DataSpec
    images: int
    photographs: bool
    black_and_white: bool
    gpu: bool

    @property
    def side(self) -> int:
        """Shorter side of the images in pixels."""
        return min(self.spec.height, self.spec.width)

    @property
    def preset(self) -> str:
        """The name of the preset for images of this size: "64" from 48 pixels on, "32" from 24 on, empty below."""
        return "64" if self.side >= 48 else "32" if self.side >= 24 else ""

    @property
    def of_size(self) -> dict[str, object]:
        """The setting of that preset, none below 24 pixels."""
        return {"preset": self.preset} if self.preset else {}
