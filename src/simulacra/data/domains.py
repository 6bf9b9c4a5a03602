"""Data sets of several domains with unpaired images."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from simulacra.core.errors import UsageError
from simulacra.data.dataset import Dataset


def combine(domains: Mapping[str, Dataset]) -> Dataset:
    """Return one data set of several domains; its own splits are those of the first, its digest covers all.

    Raises UsageError for a data set that is streamed.
    """
    for name, dataset in domains.items():
        if dataset.stream is not None:
            raise UsageError(
                f"domain {name} is {dataset.name}, which is streamed, and domains cannot be streamed: add --limit "
                f"{len(dataset.train)} to train on a random sample of that size"
            )
    first = next(iter(domains.values()))
    return replace(
        first,
        name=" and ".join(dataset.name for dataset in domains.values()),
        digest=sha256("|".join(f"{name}:{dataset.digest}" for name, dataset in domains.items()).encode()).hexdigest(),
        spec=replace(first.spec, domains={name: dataset.spec for name, dataset in domains.items()}),
        notes=tuple(f"{name}: {note}" for name, dataset in domains.items() for note in dataset.notes),
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
