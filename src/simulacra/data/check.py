"""A look at data before training: what is wrong with it, how often, for example where, and what to do."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

import numpy as np

from simulacra.core.progress import SILENT, Progress
from simulacra.data.folder_layout import ordered
from simulacra.data.formats.pixels import is_grey
from simulacra.data.prepare import arrange, resize_remedy
from simulacra.data.prepared import Skipped
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item, Reading, Skip
from simulacra.data.sources import locate
from simulacra.data.synthetic.toys import SHAPE

FEW = 500  # training images below which a generative model mostly memorizes
UNEVEN = 10  # images of the largest class for one of the smallest
_EXAMPLES = 5

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    severity: "error" stops training, a "warning" spoils results, a "note" is good to know; kind: its stable name;
    what: a sentence; count: of images, files or classes; examples: the first few of them; remedy: what to do.
    """

    severity: Severity
    kind: str
    what: str
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Checkup:
    """What was looked at and what was found. sizes: images by (height, width); classes: images by class name."""

    name: str
    train: int
    test: int
    sizes: Mapping[tuple[int, int], int]
    classes: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing worse than a note was found."""
        return all(finding.severity == "note" for finding in self.findings)


def check(config: DataConfig, progress: Progress = SILENT) -> Checkup:
    """Look at every image of a source as it is, before any resizing.

    Raises DataError only where there is nothing to look at: no such place, an archive that cannot be read, no download.
    """
    material = locate(replace(config, size=0), progress)
    with material.open() as reading:
        seen = _look(material.name, reading, progress)
        notes = reading.notes
    order, train = arrange(seen.keys)
    findings = (
        *_skips(seen),
        *_sizes(seen, config),
        *(() if _are_points(seen) else (*_ranges(seen), *_copies(seen, order, train))),
        *_balance(seen, train),
        *(Finding("warning", "unlabelled", note, 1, (), "move all images into class folders, or none") for note in notes),
    )
    classes = {name: seen.classes[name] for name in ordered(set(seen.classes))}
    ranked = sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.severity))
    return Checkup(material.name, train, len(seen.keys) - train, dict(seen.sizes.most_common()), classes, tuple(ranked))


@dataclass
class _Seen:
    """What is kept of each image: position k of every list is image k."""

    keys: list[tuple[str, str]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    grey_in_colour: list[str] = field(default_factory=list)
    brightest: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    size_examples: dict[tuple[int, int], str] = field(default_factory=dict)
    channels: Counter[int] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def take(self, item: Item) -> None:
        """Look at one image."""
        name, size = f"{item.side}/{item.name}", (item.pixels.shape[0], item.pixels.shape[1])
        self.keys.append((item.side, item.name))
        self.labels.append(item.label)
        self.contents.append(blake2b(item.pixels.tobytes(), digest_size=16, salt=repr(item.pixels.shape).encode()[:16]).digest())
        low, high = int(item.pixels.min()), int(item.pixels.max())
        self.brightest = max(self.brightest, high)
        if low == high:
            self.constant.append(name)
        if item.pixels.shape[2] == 3 and is_grey(item.pixels):
            self.grey_in_colour.append(name)
        self.sizes[size] += 1
        self.size_examples.setdefault(size, name)
        self.channels[item.pixels.shape[2]] += 1
        if item.label is not None:
            self.classes[item.label] += 1


def _look(name: str, reading: Reading, progress: Progress) -> _Seen:
    seen = _Seen()
    with progress.task(f"checking {name}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Skip):
                seen.skipped.setdefault(item.reason, []).append(item.name)
            else:
                seen.take(item)
            meter.advance()
    return seen


def _skips(seen: _Seen) -> Iterator[Finding]:
    report = Skipped.of(seen.skipped)
    for reason, count in report.counts.items():
        expected = reason.startswith(("hidden", "not an image"))
        remedy = "nothing, if they are no images" if expected else "replace, convert or remove them; they are left out"
        severity: Severity = "note" if expected else "warning"
        yield Finding(
            severity,
            "skipped",
            f"{count} {'file is' if count == 1 else 'files are'} skipped: {reason}",
            count,
            report.examples[reason],
            remedy,
        )


def _sizes(seen: _Seen, config: DataConfig) -> Iterator[Finding]:
    if not seen.keys:
        remedy = "give a folder or archive that holds images such as .png or .jpg"
        yield Finding("error", "no_images", "there are no images that can be read", 0, (), remedy)
    if len(seen.sizes) > 1 and not config.size:
        (height, width), most = seen.sizes.most_common(1)[0]
        odd = len(seen.keys) - most
        what = f"images have {len(seen.sizes)} different sizes, most often {width}x{height} ({most} of {len(seen.keys)})"
        examples = tuple(f"{name} is {size[1]}x{size[0]}" for size, name in [*seen.size_examples.items()][:_EXAMPLES])
        yield Finding("error", "mixed_sizes", what, odd, examples, resize_remedy(height, width))
    if len(seen.channels) > 1:
        what = f"grey images ({seen.channels[1]}) stand among colour ones ({seen.channels[3]})"
        yield Finding("note", "mixed_channels", what, seen.channels[1], (), "nothing: all become colour; or add --channels 1")


def _ranges(seen: _Seen) -> Iterator[Finding]:
    if seen.keys and seen.brightest == 1:
        what, remedy = "no value exceeds 1 of 255: images in 0..1 stored as whole numbers", "multiply the values by 255"
        yield Finding("warning", "wrong_range", what, len(seen.keys), (), remedy)
    elif seen.constant:
        count, examples = len(seen.constant), tuple(seen.constant[:_EXAMPLES])
        yield Finding("warning", "constant", f"{count} images are of one single value", count, examples, "remove them")
    if seen.grey_in_colour and len(seen.grey_in_colour) == len(seen.keys):
        count, remedy = len(seen.keys), "add --channels 1: a third of the work for the same pictures"
        yield Finding("note", "grey_in_colour", "all images are grey but stored as colour", count, (), remedy)


def _are_points(seen: _Seen) -> bool:
    """Return whether all images have two values: such are equal by chance, and no copies."""
    return set(seen.sizes) == {SHAPE[1:]}


def _copies(seen: _Seen, order: np.ndarray, train: int) -> Iterator[Finding]:
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, content in enumerate(seen.contents):
        groups[content].append(at)
    same = [group for group in groups.values() if len(group) > 1]
    tested = set(order[train:].tolist())
    leaks = [group for group in same if 0 < len(tested.intersection(group)) < len(group)]
    if leaks:
        count = sum(len(tested.intersection(group)) for group in leaks)
        remedy = "remove them from the training images; until then scores on the test images are too good"
        what = f"{count} test images stand among the training images, too"
        yield Finding("warning", "leak", what, count, _pairs(seen, leaks), remedy)
    if same:
        count = sum(len(group) - 1 for group in same)
        yield Finding(
            "warning", "duplicates", f"{count} images are exact copies of others", count, _pairs(seen, same), "remove them"
        )
    torn = [group for group in same if len({seen.labels[at] for at in group}) > 1]
    if torn:
        what = f"{len(torn)} images stand in more than one class"
        yield Finding("warning", "conflicting_classes", what, len(torn), _pairs(seen, torn), "keep each in its right class only")


def _pairs(seen: _Seen, groups: list[list[int]]) -> tuple[str, ...]:
    names = [["/".join(seen.keys[at]) for at in group] for group in groups[:_EXAMPLES]]
    return tuple(" = ".join(group[:3]) for group in names)


def _balance(seen: _Seen, train: int) -> Iterator[Finding]:
    if 0 < train < FEW:
        what = f"{train} training images are few: a generative model will mostly memorize them"
        yield Finding("warning", "few_images", what, train, (), f"collect at least {FEW}, better thousands")
    if len(seen.classes) > 1:
        (large, most), (small, least) = seen.classes.most_common()[0], seen.classes.most_common()[-1]
        if most > UNEVEN * least:
            rare = [name for name, count in seen.classes.items() if most > UNEVEN * count]
            what = f"classes are uneven: {most} of {large}, {least} of {small}"
            remedy = "collect more of the rare classes, or drop some of the common ones"
            yield Finding("warning", "imbalance", what, len(rare), tuple(sorted(rare)[:_EXAMPLES]), remedy)
