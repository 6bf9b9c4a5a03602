"""Few test images: defaults shrink to what there is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simulacra
from simulacra import applications
from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT
from simulacra.data.dataset import Dataset
from simulacra.data.load import from_array


def model_of(data: Dataset, out: Path) -> simulacra.Model:
    small: dict[str, Any] = {"batch": 2, "latent_dim": 3, "features": (4, 4), "hidden": (8,), "threads": 1, "snapshots": 1}
    return simulacra.train("vae", dataset=data, out=out, duration="2", **small)


def images_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 8, 8))


def used(model: simulacra.Model, name: str, **settings: object) -> dict[str, Any]:
    action = applications.find(name).only_action
    assert action
    return dict(action.run(model, action.settings.of(settings), SILENT).content)


def test_defaults_shrink_to_few_test_images(tmp_path: Path) -> None:
    model = model_of(from_array(images_of(30), np.arange(30) % 2), tmp_path / "run")
    assert len(model.dataset.test) == 3
    assert used(model, "reconstruct")["count"] == 3
    assert used(model, "interpolate")["rows"] == 1
    assert used(model, "traverse")["latents"] == 3
    assert used(model, "interpolate", from_class="0", to_class="1")["rows"] <= 4


def test_one_test_image_is_enough_where_one_is_needed(tmp_path: Path) -> None:
    model = model_of(from_array(images_of(6), np.arange(6) % 2), tmp_path / "run")
    assert len(model.dataset.test) == 1
    assert used(model, "reconstruct")["count"] == 1
    assert used(model, "traverse")["latents"] == 3
    rows = [used(model, "interpolate", from_class=start, to_class=end)["rows"] for start, end in ("01", "10")]
    assert sorted(rows) == [1, 2]  # the row of the means, and one for the only test image of its class
    assert used(model, "interpolate", between="noise")["rows"] == 8
    with pytest.raises(DataError, match="needs 2 test images, and the data have 1"):
        used(model, "interpolate")
    with pytest.raises(DataError, match="a map needs 11 test images"):
        used(model, "latent-map")


def test_without_test_images_the_remedy_is_named(tmp_path: Path) -> None:
    data = from_array(images_of(12))
    model = model_of(replace(data, test=data.test[:0]), tmp_path / "run")
    for name in ("reconstruct", "traverse", "encode", "scores"):
        with pytest.raises(DataError, match="no test images"):
            used(model, name)


def test_the_default_perplexity_shrinks_to_few_test_images(trained_vae: simulacra.Model) -> None:
    assert trained_vae.latent_map(("tsne",), 40).maps[0][0].protocol["perplexity"] == pytest.approx(13)
