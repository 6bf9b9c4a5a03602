"""Agreement with several attributes: planted predictions, combinations not seen in training, and whole evaluations."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.synthetic.hues import nearest_hues
from simulacra.engine.settings import TrainConfig
from simulacra.evaluation.settings import evaluation_settings
from simulacra.features.classifier import ClassifierObserver, classifier_trainer, recipe, trained
from simulacra.features.networks.lenet_colour import LeNetColour
from simulacra.metrics import classification_accuracy_score
from simulacra.metrics.agreement import attribute_agreement as agreement
from simulacra.metrics.agreement import label_agreement
from simulacra.metrics.agreement.attribute_classifiers import of_attribute
from simulacra.metrics.context import EvaluationContext

NAMES = ("digit", "hue")


def test_all_attributes_must_agree_and_each_is_reported() -> None:
    requested = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    predicted = torch.tensor([[0, 0], [0, 0], [1, 0], [0, 1]])
    found = agreement.attribute_agreement(requested, predicted, NAMES, torch.tensor([False, False, True, True]))
    assert {name: item.value for name, item in found.items() if "shuffled" not in name} == {
        "label_agreement": 0.5,
        "label_agreement_seen": 0.5,
        "label_agreement_unseen": 0.5,
    }
    assert found["label_agreement"].protocol["by_attribute"] == {"digit": 0.75, "hue": 0.75}
    assert found["label_agreement_unseen"].protocol["by_attribute"] == {"digit": 0.5, "hue": 1.0}
    assert set(agreement.attribute_agreement(requested, predicted, NAMES)) == {"label_agreement", "label_agreement_shuffled"}
    with pytest.raises(UsageError, match=r"expected \[n 3\] of both"):
        agreement.attribute_agreement(requested, predicted, ("a", "b", "c"))
    with pytest.raises(UsageError, match="at least 1"):
        agreement.attribute_agreement(requested[:0], predicted[:0], NAMES)


def test_shuffled_requests_agree_by_chance() -> None:
    # 7,000 images of 70 combinations: expected 1/70, standard error 0.0014; 5.1 of them
    requested = torch.tensor([[at % 10, at % 7] for at in range(7000)])
    found = agreement.attribute_agreement(requested, requested, NAMES)
    assert found["label_agreement"].value == 1
    assert abs(found["label_agreement_shuffled"].value - 1 / 70) < 0.0073


def test_combinations_that_do_not_occur_in_training_are_unseen() -> None:
    training = np.array([[0, 0], [0, 1], [1, 1]])
    assert agreement.unseen_combinations(np.array([[0, 0], [1, 0], [2, 2]]), training).tolist() == [False, True, True]


def test_a_data_set_of_one_attribute_has_its_values_as_classes() -> None:
    data = load(DataConfig(data="digits-hues"))
    hues = of_attribute(data, 1)
    assert (hues.name, hues.spec.classes, hues.spec.attributes) == ("digits-hues-hue", data.spec.attributes[1].values, ())
    assert np.array_equal(np.asarray(hues.test.labels), np.asarray(data.test.labels)[:, 1])
    assert len({data.digest, hues.digest, of_attribute(data, 0).digest}) == 3


@pytest.mark.slow
def test_a_trained_classifier_of_hues_agrees_with_the_exact_rule(meter) -> None:
    hues = of_attribute(load(DataConfig(data="digits-hues")), 1)
    settings: TrainConfig = recipe(LeNetColour, len(hues.train), {"duration": "8k", "threads": 1})
    torch.manual_seed(0)
    trainer = classifier_trainer(LeNetColour, hues.train, len(hues.spec.classes), settings)
    trainer.run(ClassifierObserver(meter))
    network = trained(trainer).eval()
    with torch.no_grad():
        found = network(network.adapt(hues.test.head(len(hues.test)).images)).argmax(1)
    assert np.mean(found.numpy() == nearest_hues(hues.test.images)) > 0.97


# --- evaluations


class Truth:
    """A classifier of one attribute by the nearest real image."""

    label = "truth"

    class network:
        @staticmethod
        def rule():
            return "none"

    def __init__(self, data, at):
        batch = data.test.head(len(data.test))
        self.images, self.labels = batch.images.flatten(1), batch.condition.labels[:, at]

    def predictions(self, images):
        return self.labels[torch.cdist(images.flatten(1), self.images).argmin(1)]


@pytest.fixture
def context_of(monkeypatch, trained_vae):
    """Return a function that gives a context of digits-hues whose model returns test images with the requested tokens."""
    from simulacra.core.capabilities import Samples
    from simulacra.core.condition import UNCONDITIONAL

    data = load(DataConfig(data="digits-hues", hold_out=12))
    batch = data.test.head(len(data.test))

    class Copies(torch.nn.Module, Samples):
        vocabulary, noise_shape = data.spec.vocabulary, (1,)

        def __init__(self):
            super().__init__()
            self.place = torch.nn.Parameter(torch.zeros(1))
            self.given = []

        def generate(self, noise, condition=UNCONDITIONAL):
            self.given.append(condition.tokens)
            rows = [(batch.condition.tokens == row).all(1).nonzero()[0, 0] for row in condition.tokens]
            return batch.images[torch.stack(rows)]

    def make(changed=data, **settings):
        monkeypatch.setattr(trained_vae, "model", Copies())
        monkeypatch.setattr(trained_vae, "spec", changed.spec)
        monkeypatch.setattr(trained_vae, "dataset", changed)
        monkeypatch.setattr(agreement, "attribute_classifiers", lambda context: [Truth(data, at) for at in (0, 1)])
        return EvaluationContext(trained_vae, evaluation_settings(settings), SILENT)

    return make


def test_images_of_the_captions_of_the_test_images_agree(context_of) -> None:
    context = context_of(samples=400)
    assert label_agreement.METRIC.not_applicable(context) == ""
    found = label_agreement.METRIC.measure(context).measurements
    numbers = {name: (item.value, item.n) for name, item in found.items()}
    assert numbers["label_agreement"] == (1, 400)
    assert numbers["label_agreement_unseen"][0] == numbers["label_agreement_seen"][0] == 1
    assert numbers["label_agreement_unseen"][1] + numbers["label_agreement_seen"][1] == 400
    assert numbers["label_agreement_shuffled"][0] < 0.1
    assert found["label_agreement"].protocol["requested"] == "the captions of the test images"
    assert found["label_agreement"].protocol["real_against_real"] == {"digit": 1, "hue": 1, "all": 1}
    given = torch.cat(context.model.given)
    expected = context.split.tokens[np.arange(400) % len(context.split)]
    assert np.array_equal(given.numpy(), expected)


def test_images_without_a_caption_of_known_words_are_not_requested(context_of) -> None:
    data = context_of().opened.dataset
    tokens = np.array(data.test.tokens)
    tokens[::2] = 0
    context = context_of(replace(data, test=replace(data.test, tokens=tokens)), samples=100)
    assert label_agreement.METRIC.measure(context).measurements["label_agreement"].n == 100
    assert torch.cat(context.model.given).any(1).all()
    nothing = context_of(replace(data, test=replace(data.test, tokens=0 * tokens)), samples=100)
    assert "known words" in label_agreement.METRIC.measure(nothing).missing["label_agreement"]
    unlabelled = context_of(replace(data, test=replace(data.test, labels=None)), samples=100)
    assert "no labels" in label_agreement.METRIC.measure(unlabelled).missing["label_agreement"]


def test_metrics_of_classes_do_not_apply_to_captions_or_attributes(context_of) -> None:
    context = context_of(cas=True)
    assert "conditional on captions, not on classes" in classification_accuracy_score.METRIC.not_applicable(context)
    context.model.label_sizes, context.model.vocabulary = (10, 7), None
    assert "several attributes, not on classes" in classification_accuracy_score.METRIC.not_applicable(context)
