"""Fixtures shared by all tests: one thread, a cache of their own, small trained runs, reference implementations."""

import gzip
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for processes that tests start

import numpy as np
import pytest
import torch
from hypothesis import settings
from tests.networks.keras_reference import Keras, KerasVAE
from torch import Tensor

settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread."""
    torch.set_num_threads(1)


class Count:
    """A meter that counts."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, amount: int = 1, **facts: str) -> None:
        """Add to the count."""
        self.done += amount


@pytest.fixture
def meter() -> Count:
    """Return a meter whose count is `done`."""
    return Count()


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("SIMULACRA_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained_vae(tmp_path_factory, cache):
    """A small VAE on the scanned digits, trained once for all tests; do not change its folder."""
    return _trained(tmp_path_factory, cache, "vae", latent_dim=4, features=(8, 16), hidden=(32,))


@pytest.fixture(scope="session")
def trained_autoencoder(tmp_path_factory, cache):
    return _trained(tmp_path_factory, cache, "autoencoder", latent_dim=4, network="dense", hidden=(32,))


def _trained(factory, cache, family, **settings):
    import simulacra

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = factory.mktemp("runs") / family
        training: dict[str, Any] = {"duration": "3ep", "batch": 64, "lr": 3e-3, "snapshots": 3, "threads": 1, "log_every": 10}
        return simulacra.train(family, data="digits", out=out, **training, **settings)


@pytest.fixture
def keras() -> type[Keras]:
    """Return the layers."""
    return Keras


@pytest.fixture
def keras_vae() -> type[KerasVAE]:
    """Return the class of the reference of the conv VAE."""
    return KerasVAE


@pytest.fixture(scope="session")
def mnist_test_images() -> Tensor:
    """Return the 10,000 test images of MNIST, float32 [10000 784] in [0, 1], or skip where they are not on this machine."""
    folder = Path(os.environ.get("SIMULACRA_DATA", "/nonexistent"))
    names = ("t10k-images-idx3-ubyte.gz", "mnist/t10k-images-idx3-ubyte.gz")
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        pytest.skip("$SIMULACRA_DATA has no MNIST")
    pixels = np.frombuffer(gzip.decompress(found[0].read_bytes()), np.uint8, offset=16).reshape(10_000, 784)
    return torch.tensor(pixels, dtype=torch.float32) / 255


@pytest.fixture
def no_added_families(monkeypatch):
    """Forget the families that a test adds."""
    from simulacra import families
    from simulacra.runs import own_families

    monkeypatch.setattr(families, "_added", {})
    monkeypatch.setattr(own_families, "_known", {})
