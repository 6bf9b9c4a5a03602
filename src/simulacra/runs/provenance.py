"""Provenance: everything that is needed to repeat a run."""

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simulacra.data.dataset import Dataset
from simulacra.engine import hardware


def provenance(dataset: Dataset, command: str) -> dict[str, Any]:
    """Return commit, versions, data, command, hardware and time, ready for JSON."""
    versions = {"simulacra": version("simulacra"), "python": sys.version.split()[0]}
    versions |= {"torch": torch.__version__, "numpy": np.__version__}
    facts = {"started": now(), "command": command, "commit": _commit(), "versions": versions}
    return facts | {"hardware": hardware.describe(), "data": _data(dataset)}


def _data(dataset: Dataset) -> dict[str, Any]:
    """Return name, digest, shape and counts of the data; of several domains those of the first, and of each by its name."""
    spec = dataset.spec
    facts: dict[str, Any] = {"name": dataset.name, "digest": dataset.digest}
    facts |= {"channels": spec.channels, "height": spec.height, "width": spec.width, "classes": list(spec.classes)}
    facts |= {"train": dataset.training_images, "validation": len(dataset.validation), "test": len(dataset.test)}
    if spec.attributes:
        facts["attributes"] = [{"name": attribute.name, "values": list(attribute.values)} for attribute in spec.attributes]
    if (vocabulary := spec.vocabulary) is not None:
        facts["vocabulary"] = {"words": list(vocabulary.words), "longest": vocabulary.longest}
    domains = {name: _data(domain) for name, domain in dataset.domains.items()}
    return facts | ({"domains": domains} if domains else {})


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str:
    """Return the commit of the source tree, with `+changes` if files differ from it; empty outside of a repository."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
