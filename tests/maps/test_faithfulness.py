"""Trustworthiness against closed forms and scikit-learn; nearest-neighbour accuracy against a count by hand."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as reference
from sklearn.neighbors import KNeighborsClassifier

from simulacra.core.errors import UsageError
from simulacra.maps import faithfulness as module
from simulacra.maps.faithfulness import faithfulness, knn_accuracy, trustworthiness


def test_a_map_without_errors_is_trustworthy():
    points = np.random.default_rng(0).normal(size=(50, 2))
    turned = points @ np.array([[0.0, 1], [-1, 0]]) * 3 + 7
    found = faithfulness(points, turned, np.zeros(50, np.int64))
    assert (found.trustworthiness, found.continuity, found.knn_accuracy) == (1, 1, 1)


def test_two_exchanged_points_of_a_line_cost_what_their_ranks_say():
    """Originals are 0, 1, 3, 7, 15, 31; the map exchanges the first and the last.

    With k = 1 the nearest in the map and their ranks among the originals: 0 -> 15 (4), 1 -> 31 (5), 3 -> 1 (1), 7 -> 3 (1),
    15 -> 7 (1), 31 -> 1 (4). The sum of r - 1 is 10, and T = 1 - 2 / (6 (12 - 3 - 1)) 10.
    """
    line = np.array([0.0, 1, 3, 7, 15, 31])[:, None]
    mapped = line.copy()
    mapped[[0, -1]] = mapped[[-1, 0]]
    assert trustworthiness(line, mapped, 1) == pytest.approx(1 - 20 / 48)


@pytest.mark.parametrize("neighbours", [1, 5, 12])
def test_trustworthiness_is_that_of_scikit_learn(neighbours, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 200 * 7)  # blocks of seven rows
    random = np.random.default_rng(1)
    latents, plane = random.normal(size=(200, 8)), random.normal(size=(200, 2))
    plane[:100] = latents[:100, :2]
    expected = reference(latents, plane, n_neighbors=neighbours)
    assert trustworthiness(latents, plane, neighbours) == pytest.approx(expected, abs=1e-12)
    if neighbours == module.NEIGHBOURS:
        found = faithfulness(latents, plane, None)
        assert found.trustworthiness == pytest.approx(expected, abs=1e-12)
        assert found.continuity == pytest.approx(reference(plane, latents, n_neighbors=neighbours), abs=1e-12)
        assert found.knn_accuracy is None


def test_accuracy_leaves_the_point_itself_out():
    """Two groups of six on a line with one stranger: it is wrong, and it changes no other vote of five."""
    points = np.concatenate([np.arange(6.0), np.arange(100.0, 106)])[:, None]
    classes = np.repeat([0, 1], 6)
    assert knn_accuracy(points, classes) == 1
    classes[3] = 1
    assert knn_accuracy(points, classes) == pytest.approx(11 / 12)


def test_accuracy_is_that_of_scikit_learn_without_the_point():
    random = np.random.default_rng(2)
    classes = random.integers(0, 3, 90)
    points = random.normal(size=(90, 4)) + classes[:, None]
    right = 0
    for at in range(90):
        others = np.arange(90) != at
        fitted = KNeighborsClassifier(5).fit(points[others], classes[others])
        right += int(fitted.predict(points[at : at + 1])[0] == classes[at])
    assert knn_accuracy(points, classes) == pytest.approx(right / 90)


def test_too_few_points_are_refused():
    points = np.zeros((10, 2))
    with pytest.raises(UsageError, match="expected at least 11"):
        trustworthiness(points, points)
