"""Conditional and label likelihoods, Bayes and classifier accuracy: against full enumeration, and which models they apply to."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Classifies, ELBOTerms, HasLikelihood, LogLikelihood
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.families.cvae import CVAE, CVAEConfig
from simulacra.metrics import classifier_accuracy as accuracy
from simulacra.metrics import find
from simulacra.metrics.label_likelihood import bayes_accuracy
from simulacra.metrics.statistics.label_likelihoods import FEW, label_likelihoods
from simulacra.metrics.statistics.likelihoods import is_conditional, split_bound, split_nll

CLASSES = tuple("0123456789")


class Known(torch.nn.Module, HasLikelihood, Classifies):
    """A model whose log p(x|y) is known exactly: minus the squared distance of an image's first pixel to y / 10, times 100.

    It records how many importance samples it is asked for. Two attributes: the second one shifts the first pixel by 0.05.
    """

    has_classifier = True
    target = "test"
    nats_to_discrete = None

    def __init__(self, sizes: tuple[int, ...] = (10,)) -> None:
        super().__init__()
        self.label_sizes = sizes
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.drawn = 0

    def log_p(self, images: Tensor, labels: Tensor) -> Tensor:
        columns = labels.view(len(labels), -1)
        centre = columns[:, 0] / 10 + (0.05 * columns[:, 1] if columns.shape[1] > 1 else 0)
        return -400 * (images[:, 0, 0, 0] - centre).square()

    def observe(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        return images

    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> ELBOTerms:
        assert condition.labels is not None
        return ELBOTerms(torch.ones(len(observed)), -self.log_p(observed, condition.labels))

    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        assert condition.labels is not None
        self.drawn += particles * len(observed)
        return LogLikelihood(self.log_p(observed, condition.labels), "lower bound")

    def class_log_probabilities(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        columns = [self.log_p(images, torch.full((len(images),), label)) for label in range(10)]
        return torch.log_softmax(torch.stack(columns, 1), 1)


def split_of(labels: np.ndarray, offset: int = 0) -> Split:
    values = np.random.default_rng(0).integers(0, 256, (len(labels), 2, 2, 1), dtype=np.uint8)
    first = labels if labels.ndim == 1 else labels[:, 0]
    values[:, 0, 0, 0] = np.clip(np.rint(25.5 * first + offset), 0, 255)
    return Split("test", values, labels.astype(np.int64))


def test_screening_changes_the_likelihood_by_less_than_a_thousandth_of_a_nat_and_only_upwards(meter: Any) -> None:
    model, split = Known(), split_of(np.arange(600) % 10, offset=9)  # chunks of 250, images between two classes
    with torch.no_grad():
        found = label_likelihoods(model, split, 100, 0, meter)
        cost = model.drawn
        every = label_likelihoods(Known(), split, 100, 0, meter, margin=math.inf)
    images = torch.from_numpy(split.images[:, 0, 0, 0]).double() / 255
    exact = math.log(10) - torch.logsumexp(-400 * (images[:, None] - torch.arange(10) / 10).square(), 1)
    torch.testing.assert_close(every.nats.double(), exact, rtol=0, atol=2e-4)
    torch.testing.assert_close(found.nats, every.nats, rtol=0, atol=1e-3)
    assert (found.nats >= every.nats - 1e-5).all()
    assert torch.equal(found.predicted, every.predicted)
    assert found.protocol["labels_kept"] < 5
    assert cost == 600 * 10 * FEW + 100 * round(600 * found.protocol["labels_kept"])
    assert meter.done == 1200
    assert found.protocol["kind"] == "upper bound"


def test_few_importance_samples_are_drawn_for_every_label_at_once(meter: Any) -> None:
    model = Known()
    label_likelihoods(model, split_of(np.arange(30) % 10), FEW, 0, meter)
    assert model.drawn == 30 * 10 * FEW


def test_bayes_accuracy_counts_images_whose_labels_are_all_right(meter: Any) -> None:
    labels = np.stack([np.arange(40) % 10, np.arange(40) % 2], 1)
    found = label_likelihoods(Known((10, 2)), split_of(labels), 5, 0, meter)  # the second attribute is not visible: 0 is likelier
    measured = bayes_accuracy(found, ("digit", "hue"))
    assert measured.value == 0.5
    assert measured.protocol["by_attribute"] == {"digit": 1.0, "hue": 0.5}
    assert "20 labels, p(y) uniform" in measured.protocol["labels"]


def small(**settings: Any) -> CVAE:
    with stream(0, "test"):
        return CVAE(CVAEConfig.of({"network": "dense", "hidden": (8,), "latent_dim": 2, **settings}), DataSpec(1, 2, 2, CLASSES))


def test_the_metric_equals_the_models_own_sum_over_labels(meter: Any) -> None:
    # 20,000 samples of a two-dimensional posterior: the estimates differ by a hundredth of a nat
    model, split = small(), split_of(np.arange(8))
    with inference_mode(model):
        found = label_likelihoods(model, split, 20_000, 0, meter, margin=math.inf)
        torch.manual_seed(0)
        own = -model.log_likelihood(split.head(8).images, 20_000).nats
    torch.testing.assert_close(found.nats, own, rtol=0, atol=0.05)


def test_the_conditional_bound_is_above_the_likelihood_and_the_floor_and_names_what_is_given(meter: Any) -> None:
    model, split = small(), split_of(np.arange(300) % 10)
    with inference_mode(model):
        bound = split_bound(model, split, 0, meter)
        scores, protocol = split_nll(model, split, 50, 0, meter)
    grey = np.clip(split.images.astype(float) / 255, 1e-12, 1 - 1e-12)
    entropy = -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum((1, 2, 3))
    assert bound.protocol["floor_nats"] == pytest.approx(entropy.mean(), rel=1e-5)
    assert (bound.rate + bound.distortion).mean() > scores.mean() > bound.protocol["floor_nats"]
    assert bound.protocol["given"] == protocol["given"] == "labels"
    assert len(scores) == len(bound.rate) == 300


@pytest.mark.parametrize("settings", [{"binarize": True}, {"likelihood": "gaussian"}, {"likelihood": "logistic"}])
def test_other_targets_have_no_floor(settings: dict[str, Any], meter: Any) -> None:
    model = small(**settings)
    with inference_mode(model):
        assert "floor_nats" not in split_bound(model, split_of(np.arange(4)), 0, meter).protocol


def test_classifier_accuracy_is_the_share_of_right_classes(meter: Any) -> None:
    labels = np.arange(40) % 10
    split = split_of(labels)
    wrong = Split("test", split.images, np.where(np.arange(40) < 10, (labels + 1) % 10, labels))
    measured = accuracy.classifier_accuracy(Known(), wrong, meter)
    assert measured.value == 0.75
    assert meter.done == 40


def test_metrics_apply_to_the_models_that_they_are_for(trained_vae: Any) -> None:
    from simulacra.metrics.context import EvaluationContext
    from simulacra.metrics.settings import SharedSettings

    class Opened:
        model: Any
        dataset = trained_vae.dataset
        spec = trained_vae.spec

    def reasons(model: Any) -> dict[str, str]:
        opened: Any = Opened()
        opened.model = model
        context = EvaluationContext(opened, SharedSettings(), None)  # type: ignore[arg-type]
        names = ("elbo", "nll", "conditional_likelihood", "label_likelihood")
        return {name: find(name).not_applicable(context) for name in names}

    assert not is_conditional(trained_vae.model)
    plain, conditional = reasons(trained_vae.model), reasons(small())
    assert plain["elbo"] == plain["nll"] == ""
    assert "without a condition" in plain["conditional_likelihood"]
    assert plain["label_likelihood"]
    assert conditional["conditional_likelihood"] == conditional["label_likelihood"] == ""
    assert "given their labels" in conditional["elbo"]
    assert conditional["elbo"] == conditional["nll"]
