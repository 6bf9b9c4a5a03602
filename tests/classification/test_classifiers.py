"""The linear probe against scikit-learn, nearest neighbours with ties, label spreading against the closed form."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from simulacra.classification.classifier import NeighborsClassifier, ProbeClassifier
from simulacra.classification.spreading import SpreadingClassifier, neighbour_graph, spread_labels
from simulacra.core.errors import DataError, UsageError


def clusters(count, classes, dimensions, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = 2 * torch.randn(classes, dimensions, generator=draw)
    return centres[labels] + torch.randn(count, dimensions, generator=draw), labels


# --- linear probe


@pytest.mark.parametrize("classes", [2, 4])
def test_the_probe_is_the_logistic_regression_of_scikit_learn(classes):
    # an independent solver (Newton) and standardization; both converge to about 1e-8
    features, labels = clusters(300, classes, 6)
    probe, converged = ProbeClassifier.fit(features, labels, classes)
    assert converged
    scaler = StandardScaler().fit(features.double().numpy())
    reference = LogisticRegression(C=1.0, tol=1e-12, max_iter=1000, solver="newton-cg")
    reference.fit(scaler.transform(features.double().numpy()), labels.numpy())
    unseen, _ = clusters(50, classes, 6, seed=1)
    expected = reference.predict_proba(scaler.transform(unseen.double().numpy()))
    np.testing.assert_allclose(probe.predict_proba(unseen).numpy(), expected, atol=1e-6)


def test_a_constant_feature_and_a_class_without_images_are_harmless():
    features, labels = clusters(60, 3, 4)
    features[:, 2] = 7.0
    probe, _ = ProbeClassifier.fit(features, labels, 5)
    probabilities = probe.predict_proba(features)
    assert torch.isfinite(probabilities).all()
    assert probabilities[:, 3:].max() < 1e-6


def test_the_probe_needs_two_classes():
    with pytest.raises(DataError, match="one class"):
        ProbeClassifier.fit(torch.randn(5, 2), torch.zeros(5, dtype=torch.int64), 3)


# --- nearest neighbours


def test_nearest_neighbours_vote_as_in_scikit_learn():
    features, labels = clusters(200, 3, 5)
    unseen, _ = clusters(80, 3, 5, seed=1)
    reference = KNeighborsClassifier(5).fit(features.numpy(), labels.numpy())
    found = NeighborsClassifier(features, labels, 3)
    votes = 5 * torch.from_numpy(reference.predict_proba(unseen.numpy()))
    torch.testing.assert_close(found.predict_proba(unseen), (votes + 1 / 3) / 6)
    assert found.predict(unseen).tolist() == reference.predict(unseen.numpy()).tolist()


def test_equal_votes_count_for_the_lowest_class():
    points = torch.tensor([[0.0], [0.1], [0.2], [0.3], [0.4]])
    found = NeighborsClassifier(points, torch.tensor([2, 1, 2, 1, 0]), 3)
    assert found.predict(torch.tensor([[0.0], [0.4]])).tolist() == [1, 1]


def test_fewer_labelled_images_than_neighbours_are_refused():
    with pytest.raises(UsageError, match="at least 5 are needed"):
        NeighborsClassifier(torch.randn(4, 2), torch.arange(4), 4)


# --- label spreading


def test_spread_labels_are_the_closed_form():
    draw = torch.Generator().manual_seed(0)
    weights = torch.rand(40, 40, generator=draw, dtype=torch.float64)
    weights = (weights + weights.T) * (1 - torch.eye(40, dtype=torch.float64))
    labels = torch.full((40,), -1)
    labels[:6] = torch.tensor([0, 1, 2, 0, 1, 2])
    root = weights.sum(1).rsqrt()
    similarity = root[:, None] * weights * root
    targets = torch.zeros(40, 3, dtype=torch.float64)
    targets[torch.arange(6), labels[:6]] = 1
    for alpha in (0.5, 0.99):
        expected = torch.linalg.solve(torch.eye(40, dtype=torch.float64) - alpha * similarity, targets)
        torch.testing.assert_close(spread_labels(weights, labels, 3, alpha), expected, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(spread_labels(weights.to_sparse(), labels, 3, alpha), expected, rtol=1e-8, atol=1e-10)


def test_the_sparse_graph_has_the_closed_form_too():
    points, truth = clusters(120, 3, 4)
    graph, widths = neighbour_graph(points, 10)
    dense = graph.to_dense()
    assert torch.equal(dense, dense.T)
    assert dense.diagonal().abs().max() == 0
    distances = torch.cdist(points.double(), points.double())
    ranked = distances.sort(1).values
    torch.testing.assert_close(widths, ranked[:, 10], rtol=1e-6, atol=1e-6)
    near = distances <= ranked[:, 10:11]
    expected = torch.exp(-(distances**2) / (widths[:, None] * widths)) * (near | near.T) * (1 - torch.eye(120))
    torch.testing.assert_close(dense, expected, rtol=1e-6, atol=1e-8)
    labels = torch.where(torch.arange(120) < 9, truth, -1)
    root = dense.sum(1).rsqrt()
    system = torch.eye(120, dtype=torch.float64) - 0.99 * root[:, None] * dense * root
    targets = torch.nn.functional.one_hot(truth, 3).double() * (torch.arange(120) < 9)[:, None]
    torch.testing.assert_close(spread_labels(graph, labels, 3), torch.linalg.solve(system, targets), rtol=1e-7, atol=1e-9)


def test_labels_spread_along_two_moons_from_one_label_each():
    angle = torch.linspace(0, torch.pi, 100)
    first = torch.stack([angle.cos(), angle.sin()], 1)
    second = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    points, truth = torch.cat([first, second]), torch.arange(200) // 100
    labels = torch.full((200,), -1)
    labels[[50, 150]] = torch.tensor([0, 1])
    found = SpreadingClassifier.fit(points, labels, 2)
    assert (found.probabilities.argmax(1) == truth).all()
    assert (found.predict(points + 0.01) == truth).all()
    nearest = torch.cdist(points, points[[50, 150]]).argmin(1)
    assert (nearest != truth).sum() > 10  # the nearest label alone does not find them


def test_equal_points_are_no_division_by_zero():
    points = torch.zeros(30, 2)
    points[15:] = 1
    labels = torch.full((30,), -1)
    labels[[0, 29]] = torch.tensor([0, 1])
    found = SpreadingClassifier.fit(points, labels, 2)
    assert torch.isfinite(found.decision_function(points)).all()
    with pytest.raises(UsageError, match="at least 11"):
        SpreadingClassifier.fit(points[:10], labels[:10], 2)
