"""Checks of the images of a source before training: problems with their number, examples and remedies."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

import numpy as np

from simulacra.core.attribute import Attribute
from simulacra.core.progress import SILENT, Progress
from simulacra.data.folder_layout import ordered
from simulacra.data.formats.pixels import is_grey
from simulacra.data.prepare import arrange, resize_remedy
from simulacra.data.prepared import Skipped
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item, Note, Reading, Skip
from simulacra.data.sources import locate
from simulacra.data.synthetic.known_densities import SHAPE

FEW = 500  # training images below which a generative model mostly memorizes
UNEVEN = 10  # accepted ratio of the largest class to the smallest
_EXAMPLES = 5

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One finding.

    severity: an "error" stops training, a "warning" harms results, a "note" is information; kind: its stable name;
    what: one sentence; count: number of images, files or classes concerned; examples: the first few; remedy: what to do.
    """

    severity: Severity
    kind: str
    what: str
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Checkup:
    """Result of the checks.

    sizes: images by (height, width); classes: images by class name, of the first attribute where there are several; attributes:
    images by value for each column of a metadata file that is used as a label.
    """

    name: str
    train: int
    test: int
    sizes: Mapping[tuple[int, int], int]
    classes: Mapping[str, int]
    attributes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there are no errors and no warnings."""
        return all(finding.severity == "note" for finding in self.findings)


def check(config: DataConfig, progress: Progress = SILENT) -> Checkup:
    """Check every image of a source in its original size.

    Raises DataError only if there are no images to check: a path that does not exist, an unreadable archive, a failed download.
    """
    material = locate(replace(config, size=0), progress)
    with material.open() as reading:
        facts = _read(material.name, reading, progress)
        notes, attributes = reading.notes, reading.attributes
    order, train = arrange(facts.keys)
    findings = (
        *_skips(facts),
        *_sizes(facts, config),
        *(() if _are_points(facts) else (*_ranges(facts), *_copies(facts, order, train))),
        *_balance(facts, train, attributes),
        *map(_of_note, notes),
    )
    values = {attribute.name: _counts(counted, attribute) for attribute, counted in zip(attributes, facts.values, strict=False)}
    first = facts.values[0] if facts.values else Counter[str]()
    classes = values[attributes[0].name] if values else {name: first[name] for name in ordered(set(first))}
    ranked = sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.severity))
    sizes = dict(facts.sizes.most_common())
    return Checkup(material.name, train, len(facts.keys) - train, sizes, classes, values, tuple(ranked))


def _counts(counted: Counter[str], attribute: Attribute) -> dict[str, int]:
    """Return the number of images of each value that occurs, in the order of the attribute's values."""
    return {value: counted[value] for value in attribute.values if counted[value]}


def _of_note(note: Note) -> Finding:
    return Finding(note.severity, note.kind, note.text, 1, (), note.remedy)


@dataclass
class _ImageFacts:
    """Facts of the images read so far: position k of every list is image k."""

    keys: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    grey_in_colour: list[str] = field(default_factory=list)
    brightest: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    size_examples: dict[tuple[int, int], str] = field(default_factory=dict)
    channels: Counter[int] = field(default_factory=Counter)
    values: list[Counter[str]] = field(default_factory=list)  # images by label, of each labelled property
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def take(self, item: Item) -> None:
        """Add one image."""
        name, size = f"{item.side}/{item.name}", (item.pixels.shape[0], item.pixels.shape[1])
        self.keys.append((item.side, item.name))
        self.labels.append(item.labels)
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
        self.values += [Counter() for _ in item.labels[len(self.values) :]]
        for counted, label in zip(self.values, item.labels, strict=False):
            counted[label] += 1


def _read(name: str, reading: Reading, progress: Progress) -> _ImageFacts:
    facts = _ImageFacts()
    with progress.task(f"checking {name}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Skip):
                facts.skipped.setdefault(item.reason, []).append(item.name)
            else:
                facts.take(item)
            meter.advance()
    return facts


def _skips(facts: _ImageFacts) -> Iterator[Finding]:
    report = Skipped.of(facts.skipped)
    for reason, count in report.counts.items():
        expected = reason.startswith(("hidden", "not an image"))
        remedy = "none needed if they are not images" if expected else "replace, convert or remove them; they are skipped"
        severity: Severity = "note" if expected else "warning"
        yield Finding(
            severity,
            "skipped",
            f"{count} {'file is' if count == 1 else 'files are'} skipped: {reason}",
            count,
            report.examples[reason],
            remedy,
        )


def _sizes(facts: _ImageFacts, config: DataConfig) -> Iterator[Finding]:
    if not facts.keys:
        remedy = "give a folder or archive of images such as .png or .jpg"
        yield Finding("error", "no_images", "there are no images that can be read", 0, (), remedy)
    if len(facts.sizes) > 1 and not config.size:
        (height, width), most = facts.sizes.most_common(1)[0]
        odd = len(facts.keys) - most
        what = f"images have {len(facts.sizes)} different sizes, most often {width}x{height} ({most} of {len(facts.keys)})"
        examples = tuple(f"{name} is {size[1]}x{size[0]}" for size, name in [*facts.size_examples.items()][:_EXAMPLES])
        yield Finding("error", "mixed_sizes", what, odd, examples, resize_remedy(height, width))
    if len(facts.channels) > 1:
        what = f"grey images ({facts.channels[1]}) are mixed with colour images ({facts.channels[3]})"
        yield Finding(
            "note", "mixed_channels", what, facts.channels[1], (), "none needed: all are converted to colour; or add --channels 1"
        )


def _ranges(facts: _ImageFacts) -> Iterator[Finding]:
    if facts.keys and facts.brightest == 1:
        what, remedy = "no value exceeds 1 of 255: images in 0..1 stored as whole numbers", "multiply the values by 255"
        yield Finding("warning", "wrong_range", what, len(facts.keys), (), remedy)
    elif facts.constant:
        count, examples = len(facts.constant), tuple(facts.constant[:_EXAMPLES])
        yield Finding("warning", "constant", f"{count} images have a single value in all pixels", count, examples, "remove them")
    if facts.grey_in_colour and len(facts.grey_in_colour) == len(facts.keys):
        count, remedy = len(facts.keys), "add --channels 1: the same images with a third of the values"
        yield Finding("note", "grey_in_colour", "all images are grey but stored as colour", count, (), remedy)


def _are_points(facts: _ImageFacts) -> bool:
    """Return whether the images are toy points, which coincide by chance and are not checked for copies."""
    return set(facts.sizes) == {SHAPE[1:]}


def _copies(facts: _ImageFacts, order: np.ndarray, train: int) -> Iterator[Finding]:
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, content in enumerate(facts.contents):
        groups[content].append(at)
    same = [group for group in groups.values() if len(group) > 1]
    tested = set(order[train:].tolist())
    leaks = [group for group in same if 0 < len(tested.intersection(group)) < len(group)]
    if leaks:
        count = sum(len(tested.intersection(group)) for group in leaks)
        remedy = "remove them from the training images; scores on the test images are too optimistic otherwise"
        what = f"{count} test images are also training images"
        yield Finding("warning", "leak", what, count, _pairs(facts, leaks), remedy)
    if same:
        count = sum(len(group) - 1 for group in same)
        yield Finding(
            "warning", "duplicates", f"{count} images are exact copies of others", count, _pairs(facts, same), "remove them"
        )
    conflicting = [group for group in same if len({facts.labels[at] for at in group}) > 1]
    if conflicting:
        what = f"{len(conflicting)} images have more than one label"
        yield Finding(
            "warning", "conflicting_classes", what, len(conflicting), _pairs(facts, conflicting), "give each image one label"
        )


def _pairs(facts: _ImageFacts, groups: list[list[int]]) -> tuple[str, ...]:
    names = [["/".join(facts.keys[at]) for at in group] for group in groups[:_EXAMPLES]]
    return tuple(" = ".join(group[:3]) for group in names)


def _balance(facts: _ImageFacts, train: int, attributes: Sequence[Attribute]) -> Iterator[Finding]:
    if 0 < train < FEW:
        what = f"only {train} training images: a generative model will mostly memorize them"
        yield Finding("warning", "few_images", what, train, (), f"collect at least {FEW}, preferably thousands")
    for at, counted in enumerate(facts.values):
        (large, most), (small, least) = counted.most_common()[0], counted.most_common()[-1]
        if most > UNEVEN * least:
            rare = [name for name, count in counted.items() if most > UNEVEN * count]
            title = f"values of {attributes[at].name}" if len(facts.values) > 1 else "classes"
            what = f"{title} are imbalanced: {most} images of {large}, {least} of {small}"
            remedy = "collect more images of the rare classes, or remove some of the common ones"
            yield Finding("warning", "imbalance", what, len(rare), tuple(sorted(rare)[:_EXAMPLES]), remedy)
