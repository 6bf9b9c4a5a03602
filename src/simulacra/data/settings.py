"""Settings of the data: which images, in what size, and how they are split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError

SHARD_IMAGES = 1000  # in one tar shard, unless asked otherwise
WITH_PATH = ("folder", "array", "shards")
LOOKS = ("coloured", "edges", "inverted", "thick")
_FORMS = (
    "a data set's name (see `simulacra data list`), a path to a folder, tar or zip archive of images, to a .npy/.npz file or "
    "to a folder of tar shards, or the name of a folder inside $SIMULACRA_DATA; with -coloured, -edges, -inverted or -thick "
    "behind it the same images through that look"
)


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
class _Source(Config):
    """Where images come from."""

    data: str = option("digits", _FORMS)
    path: str = option("", "for --data folder, array or shards: the folder, archive or .npy/.npz file")
    test_path: str = option("", "separate test images, in the same form as --path; without them a tenth is carved out")


@dataclass(frozen=True)
class _Sources(Config):
    """Where the images of two domains come from."""

    a: str = option("", f"images of domain a: {_FORMS}", flag="data.a")
    b: str = option("", "images of domain b, which need not correspond to those of a; in the same forms", flag="data.b")
    disjoint: bool = option(False, "train on half of the images of each, so that none that a and b share stands on both sides")


@dataclass(frozen=True)
class _Treatment(Config):
    """What is made of images."""

    size: int = option(0, "resize the shorter side and crop the centre to this many pixels; 0 keeps images as they are", low=0)
    channels: int = option(0, "1 for grey, 3 for colour; 0 keeps images as they are", low=0, high=3)
    validation: float = option(1 / 12, "share of the training images that is held out for validation", low=0, high=0.9)
    flip: bool = option(False, "mirror training images left to right at random")
    limit: int = option(0, "use only this many training images, chosen by a fixed seed; 0 uses all", low=0)

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        if self.channels == 2:
            raise UsageError("channels is 2, expected 0 (as they are), 1 (grey) or 3 (colour)")


@dataclass(frozen=True)
class DataConfig(_Treatment, _Source):  # in this order the fields of the source come first
    """Which images to use and how; every field is a command-line flag."""

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        super().validate()
        with_path = source_of(self.data) in WITH_PATH
        if self.path and not with_path:
            raise UsageError(f"--path is for --data folder, array or shards, not for --data {self.data}: add --data folder")
        if with_path and not self.path:
            raise UsageError(f"--data {self.data} needs --path: the place of the images; a folder of that name is ./{self.data}")

    @property
    def title(self) -> str:
        """What the name of a run says of its data."""
        return Path(self.path or self.data).stem


@dataclass(frozen=True)
class DomainsConfig(_Treatment, _Sources):
    """Which images to use of two domains, and how; all but the source is the same for both."""

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        super().validate()
        for name, source in self.named.items():
            if source_of(source) in WITH_PATH:
                place = f"a folder of that name is ./{source}"
                raise UsageError(f"--data.{name} {source} says no place: give the path itself, such as ~/photos; {place}")

    @property
    def named(self) -> Mapping[str, str]:
        """The sources by domain; empty texts where none is given."""
        return {"a": self.a, "b": self.b}

    @property
    def title(self) -> str:
        """What the name of a run says of its data."""
        return "-".join(Path(source).stem for source in self.named.values() if source) or "own"

    def domain(self, name: str) -> DataConfig:
        """Return the settings of one domain; raises UsageError where its source is not given."""
        if not (source := self.named[name]):
            raise UsageError(f"domain {name} has no source: say which images it has with --data.{name}, as --data.a and --data.b")
        return DataConfig(
            data=source,
            size=self.size,
            channels=self.channels,
            validation=self.validation,
            flip=self.flip,
            limit=self.limit,
        )


def settings_of(domains: tuple[str, ...]) -> type[DataConfig] | type[DomainsConfig]:
    """Return the settings of the data of a family with these domains, none for the usual single source."""
    if not domains:
        return DataConfig
    if domains != tuple(DomainsConfig().named):
        raise ValueError(f"the domains of a family are a and b, or none, not {domains}")
    return DomainsConfig
