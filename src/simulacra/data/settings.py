"""Settings of the data: which images, in what size, and how they are split."""

from dataclasses import dataclass

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError

SHARD_IMAGES = 1000  # in one tar shard, unless asked otherwise
WITH_PATH = ("folder", "array", "shards")
LOOKS = ("coloured", "edges", "inverted", "thick")


def parted(name: str) -> tuple[str, str]:
    """Return the data set of a name and the look that it is seen through, empty for none.

    >>> parted("fashion-mnist-thick"), parted("fashion-mnist")
    (('fashion-mnist', 'thick'), ('fashion-mnist', ''))
    """
    source, _, look = name.rpartition("-")
    return (source, look) if source and look in LOOKS else (name, "")


def source_of(name: str) -> str:
    """Return the data set of a name without any looks.

    >>> source_of("mnist-thick-inverted"), source_of("mnist")
    ('mnist', 'mnist')
    """
    source, look = parted(name)
    return source_of(source) if look else source


@dataclass(frozen=True)
class DataConfig(Config):
    """Which images to use and how; every field is a command-line flag."""

    data: str = option(
        "digits",
        "a data set's name (see `simulacra data list`), a path to a folder, tar or zip archive of images, to a .npy/.npz file or "
        "to a folder of tar shards, or the name of a folder inside $SIMULACRA_DATA; with -coloured, -edges, -inverted or -thick "
        "behind it the same images through that look",
    )
    path: str = option("", "for --data folder, array or shards: the folder, archive or .npy/.npz file")
    test_path: str = option("", "separate test images, in the same form as --path; without them a tenth is carved out")
    size: int = option(0, "resize the shorter side and crop the centre to this many pixels; 0 keeps images as they are", low=0)
    channels: int = option(0, "1 for grey, 3 for colour; 0 keeps images as they are", low=0, high=3)
    validation: float = option(1 / 12, "share of the training images that is held out for validation", low=0, high=0.9)
    flip: bool = option(False, "mirror training images left to right at random")
    limit: int = option(0, "use only this many training images, chosen by a fixed seed; 0 uses all", low=0)

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        if self.channels == 2:
            raise UsageError("channels is 2, expected 0 (as they are), 1 (grey) or 3 (colour)")
        with_path = source_of(self.data) in WITH_PATH
        if self.path and not with_path:
            raise UsageError(f"--path is for --data folder, array or shards, not for --data {self.data}: add --data folder")
        if with_path and not self.path:
            raise UsageError(f"--data {self.data} needs --path: the place of the images; a folder of that name is ./{self.data}")
