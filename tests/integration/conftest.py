"""Fixtures of the integration tests: one thread, a cache of their own, a tiny trained run."""

from typing import Any

import pytest


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
    return _trained(tmp_path_factory, cache, "vae", latents=4, features=(8, 16), hidden=(32,))


@pytest.fixture(scope="session")
def trained_autoencoder(tmp_path_factory, cache):
    return _trained(tmp_path_factory, cache, "autoencoder", latents=4, network="dense", hidden=(32,))


def _trained(factory, cache, family, **settings):
    import simulacra

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = factory.mktemp("runs") / family
        training: dict[str, Any] = {"duration": "3ep", "batch": 64, "lr": 3e-3, "snapshots": 3, "threads": 1, "log_every": 10}
        return simulacra.train(family, data="digits", out=out, **training, **settings)
