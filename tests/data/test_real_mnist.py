"""The real MNIST, if it is in $SIMULACRA_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from simulacra.data.check import check
from simulacra.data.load import load
from simulacra.data.settings import DataConfig

OWN = os.environ.get("SIMULACRA_DATA", "")

pytestmark = pytest.mark.skipif(
    not (Path(OWN) / "mnist" / "train-images-idx3-ubyte.gz").exists() if OWN else True,
    reason="SIMULACRA_DATA names no folder with mnist/train-images-idx3-ubyte.gz",
)


@pytest.fixture(autouse=True)
def own(cache, monkeypatch):
    monkeypatch.setenv("SIMULACRA_DATA", OWN)


@pytest.mark.long
def test_mnist_passes_its_digests_and_has_the_known_counts_and_mean():
    data = load(DataConfig(data="mnist"))
    assert [len(split) for split in data.splits] == [55_000, 5_000, 10_000]
    assert data.spec.shape == (1, 28, 28)
    images = np.concatenate([data.train.images, data.validation.images])
    assert images.mean() / 255 == pytest.approx(0.1306604762738429, abs=1e-12)
    labels = np.concatenate([np.asarray(data.train.labels), np.asarray(data.validation.labels)])
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(np.asarray(data.test.labels)).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.long
def test_mnist_is_healthy():
    checkup = check(DataConfig(data="mnist"))
    assert checkup.healthy
    assert (checkup.train, checkup.test) == (60_000, 10_000)
