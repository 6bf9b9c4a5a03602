"""What the colours of a map show, and what a file of values must hold."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import simulacra
from simulacra.core.errors import DataError, UsageError
from simulacra.interfaces.api import Model
from simulacra.maps.coloring import check_color, coloring


@pytest.fixture(scope="module")
def attributes(tmp_path_factory) -> Model:
    """A barely trained autoencoder of images with a digit and a hue; do not change its folder."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    labels = np.stack([np.arange(80) % 3, np.arange(80) % 20], 1)
    data = simulacra.from_array(images, labels, attributes=["digit", "hue"])
    quick: dict[str, Any] = {"duration": "2", "batch": 8, "threads": 1, "network": "dense", "hidden": (8,), "latent_dim": 2}
    return simulacra.train("autoencoder", dataset=data, out=tmp_path_factory.mktemp("runs") / "attributes", **quick)


def colours(model, choice, indices=None):
    test = model.dataset.test
    return coloring(model, test, np.arange(len(test)) if indices is None else indices, choice)


def test_classes_are_the_default(trained_vae):
    found = colours(trained_vae, "")
    assert found.title == "class"
    assert found.categories == trained_vae.spec.classes
    assert found.values.tolist() == trained_vae.dataset.test.labels.tolist()
    assert found.texts[3] == trained_vae.spec.classes[trained_vae.dataset.test.labels[3]]


def test_the_score_is_the_error_of_each_reconstruction(trained_vae):
    indices = np.array([4, 1])
    images = trained_vae.dataset.test.batch(indices).images
    expected = ((trained_vae.reconstruct(images) - images) ** 2).mean((1, 2, 3))
    found = colours(trained_vae, "score", indices)
    assert not found.categories
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)


def test_attributes_are_categories_or_a_scale_of_many_numbers(attributes):
    digits, hues = colours(attributes, "digit"), colours(attributes, "hue")
    assert digits.categories == ("0", "1", "2")
    assert digits.values.tolist() == attributes.dataset.test.labels[:, 0].tolist()
    assert not hues.categories
    assert hues.values.tolist() == attributes.dataset.test.labels[:, 1].tolist()
    assert len(set(hues.colours())) > 5


def test_classes_with_numeric_names_stay_categories(attributes):
    assert colours(attributes, "class").categories == ("0", "1", "2")
    test = replace(attributes.dataset.test, labels=attributes.dataset.test.labels[:, 1])
    spec = replace(attributes.dataset.spec, classes=tuple(map(str, range(20))), attributes=())
    model = SimpleNamespace(dataset=SimpleNamespace(spec=spec))
    found = coloring(model, test, np.arange(len(test)))  # type: ignore[arg-type]
    assert found.categories == spec.classes


def test_an_unknown_colour_suggests_the_nearest(attributes):
    with pytest.raises(UsageError, match="did you mean 'hue'"):
        colours(attributes, "hues")


def test_a_column_of_a_file_is_numbers_or_categories(trained_vae, tmp_path):
    path = tmp_path / "values: of mine.csv"
    path.write_text('\ufeffindex,value,kind\n2,0.5,odd\n0,-1,"a, b"\n1,1e3,odd\n', encoding="utf-8")
    indices = np.array([0, 1, 2])
    assert colours(trained_vae, f"{path}:value", indices).values.tolist() == [-1, 1000, 0.5]
    kinds = colours(trained_vae, f"{path}:kind", indices)
    assert kinds.categories == ("a, b", "odd")
    assert kinds.texts == ("a, b", "odd", "odd")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("file,value\na.png,1\n", DataError, "no column 'index'"),
        ("index,other\n0,1\n", UsageError, "unknown column"),
        ("index,value\n0,1\n", DataError, r"no row of 2 of the 3 .*\(such as index 1\)"),
        ("index,value\n0,1\nx,2\n", DataError, "line 3: got index 'x'"),
        ("index,value\n0,1\n0,2\n", DataError, "line 3: a second value of image 0"),
        ("index,value\n0,\n", DataError, "line 2"),
        ("", DataError, "the columns none"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(content, kind, message, trained_vae, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(content)
    with pytest.raises(kind, match=message):
        colours(trained_vae, f"{path}:value", np.arange(3))


@pytest.mark.parametrize(("choice", "message"), [("absent.csv:value", "not a file"), ("scores.csv", "name of a column")])
def test_a_missing_file_or_column_is_refused_before_any_work(choice, message):
    with pytest.raises(UsageError, match=message):
        check_color(choice)
