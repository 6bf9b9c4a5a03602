"""Checks of the images of a source before training: problems with their number, examples and remedies."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from simulacra.core.attribute import Attribute
from simulacra.core.fit import Fit
from simulacra.core.progress import SILENT, Progress
from simulacra.core.vocabulary import Vocabulary, words_of
from simulacra.data.formats.colour import is_grey
from simulacra.data.layout.folders import ordered
from simulacra.data.only_classes import no_training_image, numbers_among
from simulacra.data.preparation.prepare import Order, arrange
from simulacra.data.preparation.prepared import Skipped
from simulacra.data.preparation.settled import size_for
from simulacra.data.preparation.traits import remarks
from simulacra.data.settings import DataConfig
from simulacra.data.source import Finding, Item, Material, Reading, Skip, Traits
from simulacra.data.sources import locate
from simulacra.data.synthetic.known_densities import SHAPE
from simulacra.data.vocabularies import MOST_IN_CAPTION, MOST_WORDS, captioned_tokens

FEW = 500  # training images below which a generative model mostly memorizes
UNEVEN = 10  # accepted ratio of the largest class to the smallest
_EXAMPLES = 5
_CROPPED, _MUCH_CROPPED = 0.2, 0.5  # average shares of pixels that are lost; photographs of 4:3 lose a quarter
_MUCH_ENLARGED = 2  # in height and width


@dataclass(frozen=True)
class Checkup:
    """Result of the checks.

    sizes: images by (height, width); classes: images by class name, of the first attribute where there are several; attributes:
    images by value for each column of a metadata file that is used as a label; vocabulary: number of different words in the
    captions of the training images; longest_caption: number of words in the longest of these; validation: number of images of
    the source's own validation split, 0 without one, which are not among those to train on.
    """

    name: str
    train: int
    test: int
    sizes: Mapping[tuple[int, int], int]
    classes: Mapping[str, int]
    attributes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    vocabulary: int = 0
    longest_caption: int = 0
    validation: int = 0

    @property
    def healthy(self) -> bool:
        """Whether there are no errors and no warnings."""
        return all(finding.severity == "note" for finding in self.findings)


def check(config: DataConfig, progress: Progress = SILENT) -> Checkup:
    """Check every image of a source in its original size, of config.only_classes where they are given.

    Raises DataError only if there are no images to check: a path that does not exist, an unreadable archive, a failed download,
    no training image of the chosen classes; UsageError for an unknown class.
    """
    material = locate(replace(config, size=0), progress)
    with material.open() as reading:
        images, skipped = _read(material.name, reading, progress)
        notes, attributes = reading.notes, reading.attributes
    arranged = arrange([image.key for image in images])
    if config.only_classes and images:
        images, arranged = _only_classes(images, arranged, material, config)
    order, train, validation = arranged
    sizes = Counter(image.size for image in images)
    columns = range(max((len(image.labels) for image in images), default=0))
    counts = [Counter(image.labels[at] for image in images if image.labels) for at in columns]
    findings = [
        *_skips(skipped),
        *_sizes(images, sizes, config),
        *remarks({image.name: image.traits for image in images}, config),
    ]
    if set(sizes) != {SHAPE[1:]}:  # toy points coincide by chance
        findings += [*_ranges(images), *_copies(images, set(order[train:].tolist()))]
    vocabulary, found = _words([images[at].caption or "" for at in order], train)
    findings += [*_balance(train - (validation or 0), counts, attributes), *found, *notes]
    values = {
        attribute.name: {value: count[value] for value in attribute.values or ordered(set(count)) if count[value]}
        for attribute, count in zip(attributes, counts, strict=False)
    }
    first = counts[0] if counts else Counter[str]()
    classes = values[attributes[0].name] if values else {name: first[name] for name in ordered(set(first))}
    ranked = sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.severity))
    counted = (material.name, train - (validation or 0), len(images) - train, dict(sizes.most_common()), classes, values)
    return Checkup(*counted, tuple(ranked), len(vocabulary.words), vocabulary.longest, validation or 0)


class _Image(NamedTuple):
    """Facts of one image. content: digest of its pixels; low, high: extreme values; grey: grey but stored as colour."""

    key: tuple[str, str]
    labels: tuple[str, ...]
    caption: str | None
    content: bytes
    size: tuple[int, int]
    channels: int
    low: int
    high: int
    grey: bool
    traits: Traits

    @property
    def name(self) -> str:
        """The side and the name of the image, for messages."""
        return "/".join(self.key)


def _facts(item: Item) -> _Image:
    pixels = item.pixels
    height, width, channels = pixels.shape
    content = blake2b(pixels.tobytes(), digest_size=16, salt=repr(pixels.shape).encode()[:16]).digest()
    low, high, grey = int(pixels.min()), int(pixels.max()), channels == 3 and is_grey(pixels)
    key, measured = (item.side, item.name), (content, (height, width), channels, low, high, grey, item.traits)
    return _Image(key, item.labels, item.caption, *measured)


def _read(name: str, reading: Reading, progress: Progress) -> tuple[list[_Image], Skipped]:
    images, skipped = list[_Image](), dict[str, list[str]]()
    with progress.task(f"checking {name}", reading.count, "images") as meter:
        for item in reading.items:
            if isinstance(item, Skip):
                skipped.setdefault(item.reason, []).append(item.name)
            else:
                images.append(_facts(item))
            meter.advance()
    return images, Skipped.of(skipped)


def _only_classes(images: list[_Image], order: Order, material: Material, config: DataConfig) -> tuple[list[_Image], Order]:
    """Return the images of the chosen classes, each in the split that it has among all; raises UsageError."""
    held = [image.labels[0] if image.labels else "" for image in images]
    classes = () if "" in held else material.classes or ordered(set(held))
    chosen = {classes[number] for number in numbers_among(classes, config.chosen_classes, material.name)}
    kept = np.array([held[at] in chosen for at in order.rows])
    if not kept[: order.train].any():
        raise no_training_image(material.name, ",".join(sorted(chosen)))
    own = None if order.validation is None else int(kept[order.train - order.validation : order.train].sum())
    return [images[at] for at in order.rows[kept]], Order(np.arange(kept.sum()), int(kept[: order.train].sum()), own)


def _skips(skipped: Skipped) -> Iterator[Finding]:
    for reason, count in skipped.counts.items():
        expected = reason.startswith(("hidden", "not an image"))
        remedy = "none needed if they are not images" if expected else "replace, convert or remove them; they are skipped"
        what = f"{count} {'file is' if count == 1 else 'files are'} skipped: {reason}"
        yield Finding("skipped", what, remedy, "note" if expected else "warning", count, skipped.examples[reason])


def _sizes(images: list[_Image], sizes: Counter[tuple[int, int]], config: DataConfig) -> Iterator[Finding]:
    if not images:
        remedy = "give a folder or archive of images such as .png or .jpg"
        yield Finding("no_images", "there are no images that can be read", remedy, "error", 0)
    if len(sizes) > 1 and not config.shape:
        (height, width), most = sizes.most_common(1)[0]
        what = f"images have {len(sizes)} different sizes, most often {width}x{height} ({most} of {len(images)})"
        first = {image.size: image.name for image in reversed(images)}
        examples = tuple(f"{first[size]} is {size[1]}x{size[0]}" for size in [*sizes][:_EXAMPLES])
        chosen = size_for(sizes)
        remedy = f"none needed: all are resized and cropped to {chosen}x{chosen}; or add --size with another size"
        yield Finding("mixed_sizes", what, remedy, "note", len(images) - most, examples)
        config = replace(config, size=chosen)
    if config.shape and images:
        yield from _fits(sizes, config.shape, config.fit)
    channels = Counter(image.channels for image in images)
    if len(channels) > 1:
        what = f"grey images ({channels[1]}) are mixed with colour images ({channels[3]})"
        remedy = "none needed: all are converted to colour; or add --channels 1"
        yield Finding("mixed_channels", what, remedy, count=channels[1])


def _fits(sizes: Mapping[tuple[int, int], int], shape: tuple[int, int], how: Fit) -> Iterator[Finding]:
    """Yield findings on images of which much is lost or added, or that are enlarged, when they are fitted to a shape."""
    total, title = sum(sizes.values()), f"{shape[0]}x{shape[1]}"
    shares, factors = Counter[float](), Counter[float]()
    for (height, width), count in sizes.items():
        across, down = width / shape[1], height / shape[0]
        shares[1 - min(across, down) / max(across, down)] += count
        factors[1 / (max(across, down) if how == "pad" else min(across, down))] += count
    lost = sum(share * count for share, count in shares.items()) / total
    if lost > _CROPPED:
        words = {
            "crop": "are cropped away",
            "pad": "will be black",
            "squash": "would be cropped away, and the images are distorted",
        }
        what = f"{100 * lost:.0f} % of the pixels {words[how]} to fit images to {title} (height x width), on average"
        remedy = "give --size HxW in the aspect ratio of the images, or another --fit (crop, pad or squash)"
        yield Finding("aspect_ratio", what, remedy, "warning" if lost > _MUCH_CROPPED else "note", total)
    if enlarged := sum(count for factor, count in factors.items() if factor > 1):
        most = max(factors)
        what = f"{enlarged} of {total} images are enlarged to {title}, up to {most:.3g} times in height and width"
        yield Finding("enlarged", what, "give a smaller --size", "warning" if most > _MUCH_ENLARGED else "note", enlarged)


def _words(captions: Sequence[str], train: int) -> tuple[Vocabulary, list[Finding]]:
    """Return the vocabulary of the first `train` captions, and notes where a model cannot be conditioned on captions."""
    vocabulary = Vocabulary.of(captions[:train])
    tokens = captioned_tokens(captions, train)[1]
    if not vocabulary.words:
        return vocabulary, []
    if tokens is None:
        seen = f"{len(vocabulary.words):,} different words, and up to {vocabulary.longest:,} in a caption"
        what = f"the captions of the training images have {seen}: models cannot be conditioned on them"
        remedy = f"use at most {MOST_WORDS:,} words, and {MOST_IN_CAPTION} in a caption, or no --captions"
        return vocabulary, [Finding("large_vocabulary", what, remedy)]
    unknown = [caption for caption, row in zip(captions, tokens, strict=True) if words_of(caption) and not row.any()]
    what = f"captions of {len(unknown):,} test images have words that no training caption has, or too many: they count as missing"
    remedy, examples = "use the words of the training captions", tuple(unknown[:_EXAMPLES])
    return vocabulary, [Finding("unknown_words", what, remedy, count=len(unknown), examples=examples)] if unknown else []


def _ranges(images: list[_Image]) -> Iterator[Finding]:
    constant = [image.name for image in images if image.low == image.high]
    if max((image.high for image in images), default=0) == 1:
        what, remedy = "no value exceeds 1 of 255: images in 0..1 stored as whole numbers", "multiply the values by 255"
        yield Finding("wrong_range", what, remedy, "warning", len(images))
    elif constant:
        what, count = f"{len(constant)} images have a single value in all pixels", len(constant)
        yield Finding("constant", what, "remove them", "warning", count, tuple(constant[:_EXAMPLES]))
    if images and all(image.grey for image in images):
        remedy = "add --channels 1: the same images with a third of the values"
        yield Finding("grey_in_colour", "all images are grey but stored as colour", remedy, count=len(images))


def _copies(images: list[_Image], tested: set[int]) -> Iterator[Finding]:
    """Yield findings on equal images. tested: positions of the test images."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, image in enumerate(images):
        groups[image.content].append(at)
    same = [group for group in groups.values() if len(group) > 1]
    leaks = [group for group in same if 0 < len(tested.intersection(group)) < len(group)]
    conflicting = [group for group in same if len({images[at].labels for at in group if images[at].labels}) > 1]

    def found(kind: str, groups: list[list[int]], count: int, what: str, remedy: str) -> Iterator[Finding]:
        if groups:
            pairs = tuple(" = ".join(images[at].name for at in group[:3]) for group in groups[:_EXAMPLES])
            yield Finding(kind, f"{count} {what}", remedy, "warning", count, pairs)

    remedy = "remove them from the training images; scores on the test images are too optimistic otherwise"
    leaked, copied = sum(len(tested.intersection(group)) for group in leaks), sum(len(group) - 1 for group in same)
    yield from found("leak", leaks, leaked, "test images are also training images", remedy)
    yield from found("duplicates", same, copied, "images are exact copies of others", "remove them")
    what, remedy = "images have more than one label", "give each image one label"
    yield from found("conflicting_classes", conflicting, len(conflicting), what, remedy)


def _balance(train: int, counts: list[Counter[str]], attributes: Sequence[Attribute]) -> Iterator[Finding]:
    if 0 < train < FEW:
        what = f"only {train} training images: a generative model will mostly memorize them"
        yield Finding("few_images", what, f"collect at least {FEW}, preferably thousands", "warning", train)
    for at, counted in enumerate(counts):
        (large, most), (small, least) = counted.most_common()[0], counted.most_common()[-1]
        if most > UNEVEN * least:
            rare = sorted(name for name, count in counted.items() if most > UNEVEN * count)
            title = f"values of {attributes[at].name}" if len(counts) > 1 else "classes"
            what = f"{title} are imbalanced: {most} images of {large}, {least} of {small}"
            remedy = "collect more images of the rare classes, or remove some of the common ones"
            yield Finding("imbalance", what, remedy, "warning", len(rare), tuple(rare[:_EXAMPLES]))
