"""Data sets: three splits of uint8 images with labels and captions, of one source or of several unpaired domains."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.data.preparation.prepared import UNKNOWN, HeldTexts, Skipped, StoredTexts
from simulacra.data.source import Pixels, SplitName

if TYPE_CHECKING:
    from simulacra.data.shards.streamed import Stream

_LISTED = 10  # classes that a representation names


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    images: uint8 [n h w c], possibly memory-mapped; labels: int64 [n], [n k] for k attributes, or None; stored_captions: where
    the captions are read from, or None; tokens: integers [n t], the numbers of the words of the captions in the vocabulary
    of the data, 0 for padding, or None without a vocabulary; stored_files: where the names of files are read from, or None.
    """

    name: SplitName
    images: Pixels
    labels: NDArray[np.int64] | None = None
    stored_captions: StoredTexts | HeldTexts | None = None
    tokens: NDArray[np.integer] | None = None
    stored_files: StoredTexts | HeldTexts | None = None

    @property
    def class_labels(self) -> NDArray[np.int64] | None:
        """Class numbers int64 [n]: the first attribute where there are several, None without labels."""
        return self.labels if self.labels is None or self.labels.ndim == 1 else self.labels[:, 0]

    @cached_property
    def captions(self) -> tuple[str, ...] | None:
        """The caption of each image, empty where it has none; None if the images have no captions. Read on first use."""
        return None if self.stored_captions is None else self.stored_captions.read()

    def __repr__(self) -> str:
        height, width, channels = self.images.shape[1:]
        labels = "" if self.labels is None else ", with labels"
        return f"<Split {self.name}: {len(self):,} images, {height} x {width} x {channels}{labels}>"

    @cached_property
    def files(self) -> tuple[str, ...] | None:
        """The path of each image inside the folder or archive of the data; None for other sources. Read on first use."""
        return None if self.stored_files is None else self.stored_files.read()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: NDArray[np.int64] | slice) -> "Split":
        """Return the images of an index array (copied) or a slice (not copied) as a split."""
        labels = None if self.labels is None else self.labels[indices]
        captions = None if self.stored_captions is None else self.stored_captions[indices]
        tokens = None if self.tokens is None else self.tokens[indices]
        files = None if self.stored_files is None else self.stored_files[indices]
        return Split(self.name, self.images[indices], labels, captions, tokens, files)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the images of an index array, in its order."""
        labels = None if self.labels is None else torch.from_numpy(self.labels[indices])
        tokens = None if self.tokens is None else torch.from_numpy(self.tokens[indices].astype(np.int64))
        return Batch(to_floats(torch.from_numpy(self.images.take(indices, axis=0))), Condition(labels, tokens=tokens))

    def head(self, count: int) -> Batch:
        """Return the first `count` images, or all if there are fewer. The order is shuffled, so that they are a random sample."""
        return self.batch(np.arange(min(count, len(self))))

    def chunks(self, size: int) -> Iterator[Batch]:
        """Yield all images in order, `size` at a time; the last batch may be smaller."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Dataset:
    """Images in three splits.

    digest: sha256 of the contents, in hex; notes: remarks for the user; stream: all training images if they are streamed, where
    the split `train` is a random sample of them; domains: the data sets of several unpaired sources, by domain name, whose name,
    digest and notes are of all domains and whose other fields are of the first.
    """

    name: str
    digest: str
    spec: DataSpec
    train: Split
    validation: Split
    test: Split
    skipped: Skipped = field(default_factory=Skipped)
    notes: tuple[str, ...] = ()
    stream: "Stream | None" = None
    domains: "Mapping[str, Dataset]" = field(default_factory=dict)

    def __getitem__(self, domain: str) -> "Dataset":
        """Return the data set of a domain, by what people call it as well; raises UsageError for an unknown one."""
        return self.domains[self.spec.domain_called(domain)]

    def __repr__(self) -> str:
        spec, count = self.spec, len(self.spec.classes)
        counts = f"{self.training_images:,} training, {len(self.validation):,} validation and {len(self.test):,} test images"
        more = ", ..." if count > _LISTED else ""
        classes = f", {count} classes: {', '.join(spec.classes[:_LISTED])}{more}" if count else ""
        domains = f", domains {' and '.join(self.domains)}" if self.domains else ""
        return f"<Dataset {self.name}: {counts}, {spec.height} x {spec.width} x {spec.channels}{classes}{domains}>"

    @property
    def training_images(self) -> int:
        """Number of training images."""
        return len(self.train) if self.stream is None else len(self.stream)

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """Train, validation, test."""
        return (self.train, self.validation, self.test)

    @property
    def everything(self) -> Split:
        """The images of all splits as one, copied, in the order of their files where these are known."""
        images = np.concatenate([part.images for part in self.splits])
        labels, captions, files = ([getattr(part, name) for part in self.splits] for name in ("labels", "captions", "files"))
        whole = Split("train", images, None if any(part is None for part in labels) else np.concatenate(labels))
        whole = replace(whole, stored_captions=_joined(captions), stored_files=_joined(files))
        return whole if whole.files is None else whole[np.array(sorted(range(len(whole)), key=whole.files.__getitem__))]


def _joined(texts: Sequence[tuple[str, ...] | None]) -> HeldTexts | None:
    """Return the texts of several splits one after another; None if one has none."""
    known = [part for part in texts if part is not None]
    return HeldTexts(tuple(chain(*known))) if len(known) == len(texts) else None


def to_floats(pixels: Tensor, *, channels_last: bool = True) -> Tensor:
    """Return float32 [b c h w] in [0, 1] of uint8 [b h w c] on the same device; in channels-last memory format by default."""
    images = pixels.permute(0, 3, 1, 2)
    images = images if channels_last else images.contiguous()
    return images.float().div_(255)  # faster than one division of bytes; 255 becomes exactly 1.0


def levels(images: Tensor) -> Tensor:
    """Return images in [0, 1] rounded to the 256 levels of an image file."""
    return (images.float().clamp(0, 1) * 255).round() / 255


def split(  # noqa: PLR0917
    images: Split, train: int, validation: float, limit: int = 0, left_out: int = 0, own: int | None = None
) -> tuple[Split, Split, Split]:
    """Return train, validation and test as slices of shuffled images, of which the first `train` are not for testing.

    validation: fraction of those that is held out, at least one image unless it is 0 or there is only one; own: number of
    validation images that the source defines, instead of a fraction; limit: number of training images, 0 for all; left_out:
    number of images after the first `train` that are in no split. A split in which labels are unknown has none.
    """
    held_out = round(train * validation)
    if validation > 0 and train > 1:
        held_out = max(held_out, 1)
    held_out = held_out if own is None else own
    start = train - held_out
    stop = min(limit, start) if limit else start
    held, test = _part(images[start:train], "validation"), _part(images[train + left_out :], "test")
    return _part(images[:stop], "train"), held, test


def _part(images: Split, name: SplitName) -> Split:
    """Return images as the split of a name, without labels where these are unknown."""
    unknown = images.labels is not None and bool((images.labels == UNKNOWN).any())
    return replace(images, name=name, labels=None if unknown else images.labels)


def combine(domains: Mapping[str, Dataset], names: Mapping[str, str] | None = None) -> Dataset:
    """Return one data set of several domains, with the splits of the first and a digest of all; raises UsageError for streams.

    names: what people call the domains.
    """
    for name, dataset in domains.items():
        if dataset.stream is not None:
            advice = f"add --limit {len(dataset.train)} to train on a random sample of that size"
            raise UsageError(f"domain {name} is {dataset.name}, which is streamed, and domains cannot be streamed: {advice}")
    first = next(iter(domains.values()))
    return replace(
        first,
        name=" and ".join(dataset.name for dataset in domains.values()),
        digest=sha256("|".join(f"{name}:{dataset.digest}" for name, dataset in domains.items()).encode()).hexdigest(),
        spec=replace(first.spec, domains={name: one.spec for name, one in domains.items()}, domain_names=dict(names or {})),
        notes=tuple(f"{(names or {}).get(name, name)}: {note}" for name, dataset in domains.items() for note in dataset.notes),
        domains=dict(domains),
    )


def disjoint(domains: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the data sets with disjoint training images: domain i of k keeps part i of k of its own.

    Transforms of one source have the same order, so that no image is used in two domains. Other splits are unchanged.
    """
    parts = {}
    for at, (name, data) in enumerate(domains.items()):
        first, stop = (edge * len(data.train) // len(domains) for edge in (at, at + 1))
        parts[name] = replace(data, train=data.train[first:stop])
    return parts
