"""Metrics of conditional models: label agreement and classification accuracy score."""

import pytest
import torch

from simulacra.core.capabilities import Samples
from simulacra.core.condition import UNCONDITIONAL
from simulacra.evaluation.settings import evaluation_settings
from simulacra.metrics import classification_accuracy_score as cas
from simulacra.metrics.agreement import label_agreement
from simulacra.metrics.context import EvaluationContext


class Memory(torch.nn.Module, Samples):
    """Returns a training image of the requested class, shifted by `shift` classes."""

    label_sizes = (10,)
    noise_shape = (1,)

    def __init__(self, split, shift=0):
        super().__init__()
        self.images = split.batch(torch.arange(len(split)).numpy()).images
        self.rows = [torch.from_numpy((split.labels == label).nonzero()[0]) for label in range(10)]
        self.shift = shift

    def generate(self, noise, condition=UNCONDITIONAL):
        labels = condition.labels
        assert labels is not None
        shares = torch.special.ndtr(noise[:, 0])
        wanted = [self.rows[(label + self.shift) % 10] for label in labels.tolist()]
        return torch.stack([self.images[rows[int(share * len(rows))]] for rows, share in zip(wanted, shares, strict=True)])


@pytest.fixture
def context_of(trained_vae, monkeypatch):
    """Return a function that gives a context whose model is a Memory."""

    def make(shift=0, **settings):
        from simulacra.core.progress import SILENT

        monkeypatch.setattr(trained_vae, "model", Memory(trained_vae.dataset.train, shift))
        return EvaluationContext(trained_vae, evaluation_settings({"samples": 300, **settings}), SILENT)

    return make


class Truth:
    """A classifier by the nearest training image."""

    name, protocol = "truth", {"extractor": "truth"}

    def __init__(self, dataset):
        self.classes = dataset.spec.classes
        self.images = dataset.train.batch(torch.arange(len(dataset.train)).numpy())

    def predictions(self, images):
        nearest = torch.cdist(images.flatten(1), self.images.images.flatten(1)).argmin(1)
        return self.images.labels[nearest]


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 0.0)])
def test_label_agreement_is_the_share_of_images_of_the_requested_class(context_of, shift, expected):
    context = context_of(shift)
    context.extractor = Truth(context.opened.dataset)
    found = label_agreement.METRIC.measure(context).measurements["label_agreement"]
    assert (found.value, found.n) == (expected, 300)
    assert found.protocol["requested"] == "all classes equally"


def test_an_extractor_of_other_classes_gives_no_number(context_of):
    context = context_of()
    context.extractor = Truth(context.opened.dataset)
    context.extractor.classes = ("cat", "dog")
    assert set(label_agreement.METRIC.measure(context).missing) == {"label_agreement"}


def test_image_k_has_class_k_modulo_their_number_in_any_chunk(context_of):
    labels = torch.cat([labels for _, labels in context_of(samples=503).labelled_images()])
    assert torch.equal(labels, torch.arange(503) % 10)


def test_unconditional_models_and_a_disabled_option_have_reasons(context_of, trained_autoencoder):
    enabled, disabled = context_of(cas=True), context_of()
    assert cas.METRIC.not_applicable(enabled) == ""
    assert "--cas" in cas.METRIC.not_applicable(disabled)
    enabled.model.label_sizes = ()
    assert "--conditional" in cas.METRIC.not_applicable(enabled)
    assert "--conditional" in label_agreement.METRIC.not_applicable(enabled)


@pytest.mark.slow
def test_a_classifier_learns_from_images_of_the_right_classes_and_not_from_wrong_ones(context_of):
    right, wrong = (cas.METRIC.measure(context_of(shift, cas=True)).measurements["cas_accuracy"] for shift in (0, 3))
    assert right.value > 0.8
    assert wrong.value < 0.2
