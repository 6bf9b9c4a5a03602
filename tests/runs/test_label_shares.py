"""Labels of generated images: in the shares of the data for fidelity, equally for agreement."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simulacra.core.attribute import Attribute
from simulacra.core.capabilities import Samples
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.progress import SILENT
from simulacra.core.randomness import noise
from simulacra.data.dataset import Split
from simulacra.data.load import from_array
from simulacra.evaluation.settings import evaluation_settings
from simulacra.interfaces.cli import main
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.statistics.class_shares import class_kl
from simulacra.networks.labels import drawn_labels
from simulacra.runs.label_shares import LabelShares, untrained_labels
from simulacra.training.diversity import sample_diversity

RARE = 0.05  # share of class 0


def split_of(labels: np.ndarray) -> Split:
    return Split("train", np.zeros((len(labels), 2, 2, 1), np.uint8), labels.astype(np.int64))


def labels_of(shares: LabelShares, drawn: Tensor) -> Tensor:
    labels = shares.condition(drawn).labels
    assert labels is not None
    return labels


def test_labels_have_the_shares_of_the_images() -> None:
    order = np.random.default_rng(0).permutation(1000)
    shares = LabelShares(split_of((np.arange(1000) >= 1000 * RARE)[order]), (2,))
    count = 20_000
    found = labels_of(shares, noise(0, 0, count, (3,)))
    error = math.sqrt(RARE * (1 - RARE) / count)
    assert abs(float((found == 0).double().mean()) - RARE) < 5 * error  # false alarms: 6e-7
    assert shares.facts == {"class_shares": "those of the training images"}


def test_of_equal_shares_they_are_those_that_the_model_draws_itself() -> None:
    shares = LabelShares(split_of(np.arange(50) % 10), (10,))
    drawn = noise(0, 0, 500, (4,))
    own = drawn_labels(drawn, None, (10,))[1]
    assert own is not None
    assert torch.equal(labels_of(shares, drawn), own)


def test_several_attributes_are_drawn_jointly() -> None:
    pairs = np.array([[0, 1]] * 3 + [[1, 0]] * 1)
    found = labels_of(LabelShares(split_of(pairs), (2, 2)), noise(0, 0, 400, (5,)))
    assert {tuple(row) for row in found.tolist()} == {(0, 1), (1, 0)}
    assert float(found[:, 1].double().mean()) == pytest.approx(0.75, abs=0.11)


def test_a_model_without_labels_has_no_shares() -> None:
    shares = LabelShares(split_of(np.arange(4)), ())
    assert (shares.condition(noise(0, 0, 4, (2,))), shares.facts) == (UNCONDITIONAL, {})


class Perfect(nn.Module, Samples):
    """Generates black images of class 0 and noise of class 1, as the data are; without labels both equally often."""

    label_sizes = (2,)
    noise_shape = (17,)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        pixels, labels = drawn_labels(noise, condition.labels, self.label_sizes)
        assert labels is not None
        return torch.special.ndtr(pixels).view(-1, 1, 4, 4) * labels.view(-1, 1, 1, 1)


@pytest.fixture
def rare_class() -> Any:
    """Return data of two classes, of which the first has a share of 5 %."""
    labels = (np.arange(2000) % 20 > 0).astype(np.int64)
    images = np.random.default_rng(1).random((2000, 4, 4)) * labels[:, None, None]
    return from_array(images, labels)


class Opened:
    """An opened run, as an evaluation sees it."""

    device = torch.device("cpu")

    def __init__(self, model: Samples, dataset: Any) -> None:
        self.model, self.dataset, self.spec = model, dataset, dataset.spec


def test_fidelity_draws_classes_in_the_shares_of_the_data_and_agreement_equally(rare_class: Any) -> None:
    opened: Any = Opened(Perfect(), rare_class)
    context = EvaluationContext(opened, evaluation_settings({"samples": 4000}), SILENT)
    found = torch.cat([(images.flatten(1) > 0).any(1).long() for images in context.images()])
    assert class_kl(found, rare_class.test.labels, 2).value < 0.005
    equally = torch.cat([labels for _, labels in context.labelled_images()])
    assert equally.bincount().tolist() == [2000, 2000]


def test_the_monitor_of_a_training_compares_with_the_shares_of_the_data(rare_class: Any) -> None:
    real = rare_class.validation.head(150).images
    given, equal = (
        sample_diversity(Perfect(), real, None, 0, LabelShares(rare_class.train, sizes))["diversity"] for sizes in ((2,), ())
    )
    assert given == pytest.approx(1, abs=0.15)
    assert abs(equal - 1) > abs(given - 1)


def test_labels_without_a_training_image_are_found() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    assert untrained_labels(from_array(images)) == []
    assert untrained_labels(from_array(images, np.arange(30) % 2, classes=("a", "b"))) == []
    assert untrained_labels(from_array(images, np.arange(30) % 2 * 2, classes=("a", "b", "c", "d"))) == ["b", "d"]
    attributes = (Attribute("size", ("1", "2")), Attribute("hue", ("red", "blue", "green")))
    assert untrained_labels(from_array(images, np.arange(60).reshape(30, 2) % 2, attributes=attributes)) == [
        "size=2",
        "hue=red",
        "hue=green",
    ]


@pytest.mark.parametrize(("family", "warned"), [("cvae", True), ("vae", False)])
def test_training_warns_of_labels_that_are_generated_without_a_training_image(
    family: str, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "digits", "--only-classes", "0,1", "--for", "1", "--batch", "8", "--threads", "1", "--snapshots", "1"]
    assert main(["train", family, "--network", "dense", "--hidden", "8", *words, "--out", str(tmp_path / "run")]) == 0
    found = "warning: no training image has the label 2, 3, 4, 5, 6 and 3 more:" in capsys.readouterr().err
    assert found == warned
