"""Projections to the plane: principal components against a closed form, t-SNE as a function of its arguments."""

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.maps import projection
from simulacra.maps.projection import PrincipalComponents, project


@pytest.fixture
def groups():
    """Two distant groups of 60 points each in six dimensions."""
    points = np.random.default_rng(0).normal(size=(120, 6))
    points[60:, 0] += 20
    return points.astype(np.float32)


def test_principal_components_of_points_on_a_rotated_ellipse():
    angle = 0.5
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]]) @ axes + (5, -2)
    found = PrincipalComponents.of(corners)
    np.testing.assert_allclose(found.mean, (5, -2))
    np.testing.assert_allclose(found.variances, (18 / 4, 2 / 4))
    np.testing.assert_allclose(found.axes, axes, atol=1e-12)
    np.testing.assert_allclose(found.project(corners, 2), [[3, 0], [-3, 0], [0, 1], [0, -1]], atol=1e-12)
    assert found.share(1) == pytest.approx(0.9)


def test_principal_components_are_those_of_scikit_learn(groups):
    expected = PCA(3).fit(groups.astype(np.float64))
    found = PrincipalComponents.of(groups)
    np.testing.assert_allclose(np.abs(found.axes[:3]), np.abs(expected.components_), atol=1e-9)
    np.testing.assert_allclose(found.share(2), expected.explained_variance_ratio_[:2].sum())
    assert (found.axes[np.arange(6), np.abs(found.axes).argmax(1)] > 0).all()


def test_a_single_latent_has_a_second_coordinate_of_zero():
    line = np.arange(40, dtype=np.float32)[:, None]
    for method in ("latents", "pca"):
        assert (project(method, line).coordinates[:, 1] == 0).all()
    assert project("latents", line).coordinates[:, 0].tolist() == line[:, 0].tolist()


@pytest.mark.long
def test_t_sne_separates_groups_and_is_a_function_of_its_seed(groups):
    first = project("tsne", groups, 3, perplexity=10)
    again = project("tsne", groups, 3, perplexity=10)
    assert np.array_equal(first.coordinates, again.coordinates)
    assert not np.array_equal(first.coordinates, project("tsne", groups, 4, perplexity=10).coordinates)
    centres = first.coordinates[:60].mean(0), first.coordinates[60:].mean(0)
    distances = [np.linalg.norm(first.coordinates - centre, axis=1) for centre in centres]
    assert ((distances[0] < distances[1]) == (np.arange(120) < 60)).all()
    assert first.protocol["perplexity"] == 10
    assert first.protocol["seed"] == 3


@pytest.mark.parametrize(
    ("method", "count", "dimensions", "message"),
    [("latents", 40, 3, "expected at most 2"), ("tsne", 40, 3, "perplexity is 30, expected at most 13")],
)
def test_what_cannot_be_mapped_is_refused_in_words(method, count, dimensions, message):
    points = np.random.default_rng(0).normal(size=(count, dimensions))
    with pytest.raises(UsageError, match=message):
        project(method, points)


@pytest.mark.parametrize("value", [0.0, 3.7, np.nan])
def test_equal_or_undefined_latents_are_refused(value):
    points = np.full((40, 3), value, np.float32)
    for method in ("pca", "tsne"):
        with pytest.raises(SimulacraError, match="all latents are equal" if np.isfinite(value) else "not finite"):
            project(method, points)


def test_pacmap_without_its_package_names_the_extra(monkeypatch):
    def absent(name: str) -> Any:
        return None

    monkeypatch.setattr(projection, "find_spec", absent)
    with pytest.raises(UsageError, match=r"simulacra\[maps\]"):
        project("pacmap", np.random.default_rng(0).normal(size=(40, 3)))
