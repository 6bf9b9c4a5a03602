"""Numbers of conditional models: whether they draw what they are asked for, and what a classifier learns from them."""

import pytest
import torch

from simulacra.core.capabilities import Samples
from simulacra.metrics import measures
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.settings import EvaluateConfig


class Memory(torch.nn.Module, Samples):
    """Draws a training image of the class asked for, or of the class `shift` further on."""

    classes = 10
    noise_shape = (1,)

    def __init__(self, split, shift=0):
        super().__init__()
        self.images = split.batch(torch.arange(len(split)).numpy()).images
        self.rows = [torch.from_numpy((split.labels == label).nonzero()[0]) for label in range(self.classes)]
        self.shift = shift

    def generate(self, noise, labels=None):
        assert labels is not None
        shares = torch.special.ndtr(noise[:, 0])
        wanted = [self.rows[(label + self.shift) % self.classes] for label in labels.tolist()]
        return torch.stack([self.images[rows[int(share * len(rows))]] for rows, share in zip(wanted, shares, strict=True)])


@pytest.fixture
def subject_of(trained_vae, monkeypatch):
    """Return a function that gives a context whose model is a Memory."""

    def context(shift=0, **settings):
        from simulacra.core.progress import SILENT

        monkeypatch.setattr(trained_vae.opened, "model", Memory(trained_vae.dataset.train, shift))
        return EvaluationContext(trained_vae.opened, EvaluateConfig.of({"samples": 300, **settings}), SILENT)

    return context


class Truth:
    """An extractor that knows every training image by heart."""

    name, protocol = "truth", {"extractor": "truth"}

    def __init__(self, dataset):
        self.classes = dataset.spec.classes
        self.images = dataset.train.batch(torch.arange(len(dataset.train)).numpy())

    def predictions(self, images):
        nearest = torch.cdist(images.flatten(1), self.images.images.flatten(1)).argmin(1)
        return self.images.labels[nearest]


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 0.0)])
def test_label_agreement_is_the_share_of_images_that_show_what_was_asked(subject_of, shift, expected):
    context = subject_of(shift)
    context.extractor = Truth(context.trained.dataset)
    found = measures._agreement(context).metrics["label_agreement"]
    assert (found.value, found.n) == (expected, 300)
    assert found.protocol["asked"] == "all classes equally"


def test_an_extractor_of_other_classes_is_refused_with_its_name(subject_of):
    context = subject_of()
    context.extractor = Truth(context.trained.dataset)
    context.extractor.classes = ("cat", "dog")
    assert measures._agreement(context).missing == {"label_agreement": "truth tells other classes than those of the data"}


def test_image_k_is_asked_for_class_k_modulo_their_number_whatever_is_generated_together(subject_of):
    labels = torch.cat([labels for _, labels in subject_of(samples=503).labelled_images()])
    assert torch.equal(labels, torch.arange(503) % 10)


def test_what_does_not_apply_says_why(subject_of, trained_autoencoder):
    asked, unasked = subject_of(cas=True), subject_of()
    assert measures._no_cas(asked) == ""
    assert "add --cas" in measures._no_cas(unasked)
    asked.trained.model.label_sizes = ()
    assert "draws no class on request" in measures._no_cas(asked)
    assert "draws no class on request" in measures._unconditional(asked)


@pytest.mark.slow
def test_a_classifier_learns_from_images_of_the_right_classes_and_not_from_wrong_ones(subject_of):
    right, wrong = (measures._cas(subject_of(shift, cas=True)).metrics["cas_accuracy"] for shift in (0, 3))
    assert right.value > 0.8
    assert wrong.value < 0.2
