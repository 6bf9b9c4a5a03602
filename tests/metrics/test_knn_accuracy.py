"""Classes told from latents, by neighbours and by a linear classifier: against scikit-learn, and in cases with a known answer."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from tests.conftest import Count
from torch import Tensor

from simulacra.core.errors import DataError, UsageError
from simulacra.metrics.knn_accuracy import knn_accuracy
from simulacra.metrics.probe_accuracy import probe_accuracy

Labelled = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> tuple[Labelled, Labelled]:
    """Return 1,000 training digits, and the rest."""
    values, labels = load_digits(return_X_y=True)
    rows, classes = torch.tensor(values, dtype=torch.float32), torch.tensor(labels)
    return (rows[:1000], classes[:1000]), (rows[1000:], classes[1000:])


def clusters(count: int, seed: int) -> Labelled:
    """Return points about the corners of a simplex, far apart."""
    labels = torch.arange(count) % 4
    noise = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    return 20 * torch.nn.functional.one_hot(labels, 5) + noise, labels


def test_neighbours_vote_as_in_scikit_learn(digits: tuple[Labelled, Labelled], meter: Count) -> None:
    train, test = digits
    expected = (
        KNeighborsClassifier(5, algorithm="brute").fit(*(side.numpy() for side in train)).score(*(side.numpy() for side in test))
    )
    found = knn_accuracy(train, test, 10, meter)
    assert meter.done == found.n == len(test[1])
    assert found.value == pytest.approx(expected, abs=1.5 / len(test[1]))  # one image may have neighbours at equal distances
    assert knn_accuracy(train, test, 10, meter, block=5000).value == found.value


def test_five_neighbours_vote_no_more_and_no_fewer(meter: Count) -> None:
    # labels at random: every other number of neighbours gives another share
    generator = torch.Generator().manual_seed(0)
    latents, labels = torch.randn(800, 3, generator=generator), torch.randint(0, 3, (800,), generator=generator)
    train, test = (latents[:500], labels[:500]), (latents[500:], labels[500:])
    shares = [
        KNeighborsClassifier(count)
        .fit(latents[:500].numpy(), labels[:500].numpy())
        .score(latents[500:].numpy(), labels[500:].numpy())
        for count in (4, 5, 6)
    ]
    assert len(set(shares)) == 3
    assert knn_accuracy(train, test, 3, meter).value == pytest.approx(shares[1])


def test_the_probe_is_scikit_learns_on_standardized_latents(digits: tuple[Labelled, Labelled]) -> None:
    train, test = digits
    mean, deviation = train[0].mean(0), train[0].std(0, correction=0)
    scaled = [((rows - mean) / torch.where(deviation > 0, deviation, 1)).double().numpy() for rows in (train[0], test[0])]
    expected = LogisticRegression(max_iter=2000).fit(scaled[0], train[1].numpy()).score(scaled[1], test[1].numpy())
    found = probe_accuracy(train, test, 10)
    assert found.value == pytest.approx(expected, abs=1.5 / len(test[1]))
    assert found.protocol["converged"] is True


def test_clusters_far_apart_are_told_by_both_and_labels_at_random_by_neither(meter: Count) -> None:
    train, test = clusters(400, 0), clusters(2000, 1)
    assert knn_accuracy(train, test, 4, meter).value == 1
    assert probe_accuracy(train, test, 4).value == 1
    random = torch.randint(0, 4, (2000,), generator=torch.Generator().manual_seed(2))
    for found in (knn_accuracy(train, (test[0], random), 4, meter), probe_accuracy(train, (test[0], random), 4)):
        low, high = found.table()["interval"]
        assert low < 0.25 < high


def test_the_probe_does_not_care_about_scale_or_dead_latents() -> None:
    train, test = clusters(400, 0), clusters(400, 1)
    scale = torch.tensor([1e-3, 1e3, 1.0, 10.0, 0.0])
    assert probe_accuracy((train[0] * scale, train[1]), (test[0] * scale, test[1]), 4).value == 1


def test_equal_votes_go_to_the_first_class(meter: Count) -> None:
    latents = torch.tensor([[0.0], [0.1], [-0.1], [0.2], [-0.2], [50.0]])
    train = latents, torch.tensor([2, 1, 1, 2, 0, 0])
    assert knn_accuracy(train, (torch.zeros(1, 1), torch.tensor([1])), 3, meter).value == 1


def test_both_give_the_same_number_twice(digits: tuple[Labelled, Labelled]) -> None:
    train, test = digits
    assert probe_accuracy(train, test, 10) == probe_accuracy(train, test, 10)


def test_what_does_not_fit_is_refused(meter: Count) -> None:
    train, test = clusters(40, 0), clusters(40, 1)
    with pytest.raises(UsageError, match=r"3 .* 5 "):
        knn_accuracy((train[0][:3], train[1][:3]), test, 4, meter)
    with pytest.raises(UsageError, match=r"40 .* 39 "):
        knn_accuracy(train, (test[0], test[1][:39]), 4, meter)
    with pytest.raises(DataError, match="one class"):
        probe_accuracy((train[0], torch.zeros(40, dtype=torch.long)), test, 4)
    assert (
        knn_accuracy(train, (test[0].numpy(), test[1].numpy().astype(np.int64)), 4, meter)
        .protocol["few_samples"]
        .startswith("40 of")
    )
