"""Settings of the data: source, labels, size and splits."""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast

from simulacra.core.config import Config, option, options
from simulacra.core.errors import UsageError
from simulacra.core.home import expand_home
from simulacra.core.text import comma_separated

MEASURED = "data"  # levels that are measured before images are decoded
SHARD_IMAGES = 1000  # images per tar shard by default
WITH_PATH = ("folder", "array", "shards")
WITH_METADATA = ("folder",)  # sources that read labels from a metadata file
TRANSFORMS = ("coloured", "edges", "hues", "inverted", "thick")
_FORMS = (
    "a data set's name (see `simulacra data list`), a path to a folder, tar or zip archive of images, to a .npy/.npz file or "
    "to a folder of tar shards, or the name of a folder inside $SIMULACRA_DATA; the suffix -coloured, -edges, -hues, "
    "-inverted or -thick applies that transform to the images"
)


def split_transform(name: str) -> tuple[str, str]:
    """Return the data set of a name and the last transform applied to it, empty for none.

    >>> split_transform("fashion-mnist-thick"), split_transform("fashion-mnist")
    (('fashion-mnist', 'thick'), ('fashion-mnist', ''))
    """
    source, _, transform = name.rpartition("-")
    return (source, transform) if source and transform in TRANSFORMS else (name, "")


def without_transforms(name: str) -> str:
    """Return the data set of a name without its transforms.

    >>> without_transforms("mnist-thick-inverted"), without_transforms("mnist")
    ('mnist', 'mnist')
    """
    source, transform = split_transform(name)
    return without_transforms(source) if transform else source


@dataclass(frozen=True)
class _Source(Config):
    """Where images come from."""

    data: str = option("digits", _FORMS)
    path: str = option("", "for --data folder, array or shards: the folder, archive or .npy/.npz file")
    test_path: str = option("", "separate test images, in the same form as --path; by default a tenth of the images is held out")
    label_column: str = option(
        "", "column of metadata.jsonl or metadata.csv used as the label; several, separated by commas, become attributes"
    )
    class_level: int = option(
        1, "level of the folders that are the classes: 1 for the outermost that differ, 2 for those inside them, and so on", low=1
    )
    only_classes: str = option("", "names of classes, separated by commas: use the images of these classes only; default: all")


@dataclass(frozen=True)
class _Sources(Config):
    """Where the images of two domains come from."""

    data: str = option("", "a folder with both domains: trainA, trainB, testA and testB, or one folder for each domain")
    a: str = option("", f"images of domain a: {_FORMS}", flag="data.a")
    b: str = option("", "images of domain b, which need not correspond to those of a; in the same forms", flag="data.b")
    a_test_path: str = option("", "separate test images of domain a, by default a tenth of them", flag="data.a.test-path")
    b_test_path: str = option("", "separate test images of domain b, by default a tenth of them", flag="data.b.test-path")
    disjoint: bool = option(False, "train each domain on a different half of the images, so that no image is in both")


@dataclass(frozen=True)
class _Treatment(Config):
    """How images are resized and split."""

    size: int | str = option(
        0,
        "resize to this many pixels, or to height x width such as 48x64; 0 keeps a common size, and is 64 for mixed sizes",
        low=0,
    )
    channels: int = option(0, "1 for grey, 3 for colour; 0 keeps the original channels", low=0, high=3)
    validation: float = option(1 / 12, "fraction of the training images held out for validation", low=0, high=0.9)
    flip: bool = option(False, "random horizontal flips of training images")
    limit: int = option(0, "number of training images to use, chosen with a fixed seed; 0 uses all", low=0)
    fit: Literal["crop", "pad", "squash"] = option("crop", "how images of another aspect ratio are fitted")
    levels: str = option(
        "",
        "values of 16-bit and float images that become black and white: 10bit, 12bit, 14bit, LOW..HIGH such as 0..4095, or data "
        "for their extremes (default: 0..65535, of floats 0..1)",
    )
    frames: bool = option(False, "use every page of TIFF files and every frame of animations as an image, instead of the first")

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        if self.channels == 2:
            raise UsageError("channels is 2, expected 0 (as they are), 1 (grey) or 3 (colour)")
        if self.levels not in {"", MEASURED} and self.level_range is None:
            forms = f"10bit, 12bit, 14bit, LOW..HIGH such as 0..4095, or {MEASURED}"
            raise UsageError(f"--levels is {self.levels!r}, expected {forms}")

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width to which images are fitted, None where they keep theirs."""
        if not self.size:
            return None
        height, _, width = str(self.size).partition("x")
        return int(height), int(width or height)

    @property
    def enough(self) -> int:
        """The shorter side, in pixels, that suffices to fit an image to the shape, 0 where it keeps its own."""
        return max(self.shape or (0,))

    @property
    def level_range(self) -> tuple[float, float] | None:
        """The values that become black and white, None for the default and where they are not measured yet."""
        if match := re.fullmatch(r"(10|12|14)bit", self.levels):
            return 0, 2 ** int(match[1]) - 1
        low, _, high = self.levels.partition("..")
        with suppress(ValueError):
            return (float(low), float(high)) if -math.inf < float(low) < float(high) < math.inf else None
        return None

    @property
    def marks(self) -> list[str]:
        """The settings besides size and channels that change what is prepared, where they differ from their defaults."""
        given = {"fit": "" if self.fit == "crop" else self.fit, "levels": self.levels, "frames": "all" if self.frames else ""}
        return [f"{name}={value}" for name, value in given.items() if value]


@dataclass(frozen=True)
class DataConfig(_Treatment, _Source):  # in this order the fields of the source come first
    """Settings of one data set; every field is a command-line flag."""

    hold_out: int = option(
        0,
        "number of combinations of the first two attributes left out of training and validation, and kept in the test images",
        low=0,
    )

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        super().validate()
        with_path = without_transforms(self.data) in WITH_PATH
        if self.path and not with_path:
            raise UsageError(f"--path is for --data folder, array or shards, not for --data {self.data}: add --data folder")
        if self.label_column and not self.label_columns:
            raise UsageError(f"--label-column is {self.label_column!r}, expected a column or several separated by commas")
        if len(set(self.label_columns)) < len(self.label_columns):
            raise UsageError(f"--label-column {self.label_column} names a column twice: name each column once")
        if self.only_classes and not self.chosen_classes:
            raise UsageError(f"--only-classes is {self.only_classes!r}, expected a class or several separated by commas")
        if with_path and not self.path:
            place = f"the location of the images; a folder of that name is ./{self.data}"
            raise UsageError(f"--data {self.data} needs --path: {place}")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the columns used as labels, empty if labels come from folders."""
        return comma_separated(self.label_column)

    @property
    def chosen_classes(self) -> tuple[str, ...]:
        """Names of the classes whose images are used, empty for all; a name with a comma is in several parts."""
        return comma_separated(self.only_classes)

    @property
    def title(self) -> str:
        """Short name of the data, used in the names of runs."""
        return _title(self.path or self.data)


@dataclass(frozen=True)
class DomainsConfig(_Treatment, _Sources):
    """Settings of two domains, which differ in their source only."""

    def validate(self) -> None:
        """Raise UsageError where the settings contradict each other."""
        super().validate()
        if self.data and any((*self.named.values(), *self.tests.values())):
            raise UsageError(f"--data {self.data} names both domains: leave out --data.a and --data.b, or leave out --data")
        for name, source in self.named.items():
            if without_transforms(source) in WITH_PATH:
                place = f"a folder of that name is ./{source}"
                raise UsageError(f"--data.{name} {source} has no path: give the path itself, such as ~/photos; {place}")

    @property
    def named(self) -> Mapping[str, str]:
        """The sources by domain name, empty where none is given."""
        return {"a": self.a, "b": self.b}

    @property
    def tests(self) -> Mapping[str, str]:
        """The separate test images by domain name, empty where none are given."""
        return {"a": self.a_test_path, "b": self.b_test_path}

    @property
    def title(self) -> str:
        """Short name of the data, used in the names of runs."""
        return _title(self.data) if self.data else "-".join(_title(source) for source in self.named.values() if source) or "own"

    def domain(self, name: str) -> DataConfig:
        """Return the settings of one domain; raises UsageError if its source is not given."""
        if not (source := self.named[name]):
            advice = f"give its images with --data.{name}, or with --data a folder that has both domains"
            raise UsageError(f"domain {name} has no source: {advice}")
        shared: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(_Treatment)}
        return DataConfig(data=source, test_path=self.tests[name], **shared)


Settings = TypeVar("Settings", bound=DataConfig | DomainsConfig)


@dataclass(frozen=True)
class PlacesConfig(Config):
    """Where the data of a run are, if they were moved since the training."""

    data: str = option(
        "", "where the data of the run are now; of two domains the folder that has both; default: as in the training"
    )
    test_path: str = option("", "where the separate test images are now")
    a: str = option("", "of two domains, where the images of a are now", flag="data.a")
    b: str = option("", "of two domains, where the images of b are now", flag="data.b")
    a_test_path: str = option("", "of two domains, where the separate test images of a are now", flag="data.a.test-path")
    b_test_path: str = option("", "of two domains, where the separate test images of b are now", flag="data.b.test-path")

    @property
    def given(self) -> dict[str, str]:
        """The places that are given, by the name of their setting."""
        return {name: str(place) for name, place in self.table().items() if place}

    def applied(self, config: Settings) -> Settings:
        """Return the settings of the data with these places; raises UsageError for one that such data do not have."""
        given, domains = self.given, isinstance(config, DomainsConfig)
        if wrong := [name for name in given if name not in config.table()]:
            flag = next(setting.flag for setting in options(PlacesConfig) if setting.name == wrong[0])
            held = (
                "two domains: give --data.a and --data.b, or a folder with both as --data"
                if domains
                else "one source: give --data"
            )
            raise UsageError(f"the run was trained on {held}, not --{flag}")
        if domains and "data" in given:
            given = dict.fromkeys(("a", "b", "a_test_path", "b_test_path"), "") | given
        elif "data" in given and config.table()["path"]:
            given["path"] = given.pop("data")
        return cast(Settings, type(config).of({**config.table(), **given}, "the flags"))


def _title(place: str) -> str:
    """Return the last part of a name or path without its suffix, for the names of runs; parts that are not UTF-8 become _.

    >>> _title("photos/cats.zip"), _title("digits")
    ('cats', 'digits')
    """
    stem = expand_home(place).resolve().stem
    return stem.encode("utf-8", "replace").decode().replace("?", "_") or "own"


def settings_of(domains: tuple[str, ...]) -> type[DataConfig] | type[DomainsConfig]:
    """Return the class of data settings for a family with these domains; no domains mean a single source."""
    if not domains:
        return DataConfig
    if domains != tuple(DomainsConfig().named):
        raise ValueError(f"the domains of a family are a and b, or none, not {domains}")
    return DomainsConfig
