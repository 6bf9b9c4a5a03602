"""Networks, augmentation, labelled images and the storage of classifiers, on a small trained VAE."""

import json
import shutil

import numpy as np
import pytest
import torch

import simulacra
from simulacra.classification import methods
from simulacra.classification import network as network_module
from simulacra.classification.augmentation import random_transform
from simulacra.classification.methods import METHODS
from simulacra.classification.network import SelfTraining, new_network
from simulacra.classification.problem import Problem, parse_labels
from simulacra.classification.representation import Representation, features_of, images, model_features, principal_components
from simulacra.classification.store import read_classifier, write_classifier
from simulacra.core.batch import Batch
from simulacra.core.condition import Condition
from simulacra.core.errors import DataError, UsageError


@pytest.fixture
def copied(trained_vae, tmp_path):
    """A copy of the run of the small VAE, in which classifiers may be stored."""
    shutil.copytree(trained_vae.run.path, tmp_path / "run")
    return simulacra.open(tmp_path / "run")


# --- labelled images


def test_labelled_images_are_balanced_seeded_and_nested(trained_vae):
    few, more, other = Problem(trained_vae, 50), Problem(trained_vae, 100), Problem(trained_vae, 50, seed=1)
    assert torch.bincount(few.known).tolist() == [5] * 10
    assert np.array_equal(few.rows, Problem(trained_vae, 50).rows)
    assert set(few.rows) < set(more.rows)
    assert not np.array_equal(few.rows, other.rows)
    everything = few.labels_of(np.arange(len(few.split)))
    assert (everything >= 0).sum() == 50
    assert torch.equal(everything[few.rows], few.known)


def test_all_labels_are_all_training_images(trained_vae):
    problem = Problem(trained_vae, parse_labels("all"))
    assert len(problem.rows) == len(trained_vae.dataset.train)
    for method in ("spreading", "self-training"):
        with pytest.raises(UsageError, match="images without labels"):
            METHODS[method].fit(problem, METHODS[method].inputs(trained_vae))


@pytest.mark.parametrize("text", ["0", "-3", "few", "1.5", ""])
def test_another_number_of_labels_is_refused(text):
    with pytest.raises(UsageError, match="--labels"):
        parse_labels(text)


# --- representations


def test_features_are_posterior_means_and_those_of_denoisers_are_averages_of_a_grid(trained_vae):
    batch = trained_vae.dataset.test.head(20)
    torch.testing.assert_close(model_features(trained_vae).of(batch.images), trained_vae.encode(batch.images))
    assert principal_components(trained_vae).of(batch.images).shape == (20, 4)


def test_principal_components_are_those_of_the_training_images(trained_vae):
    data = trained_vae.dataset.train.head(10_000).images.flatten(1).double()
    mean = data.mean(0)
    _, _, axes = torch.linalg.svd(data - mean, full_matrices=False)
    test = trained_vae.dataset.test.head(30).images
    expected = (test.flatten(1).double() - mean) @ axes[:4].T
    torch.testing.assert_close(principal_components(trained_vae).of(test).double().abs(), expected.abs(), rtol=1e-3, atol=1e-3)


# --- augmentation


def test_without_motion_a_transform_is_the_identity(monkeypatch):
    given = torch.rand(3, 2, 9, 7)
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: torch.full(shape, 0.5))
    torch.testing.assert_close(random_transform(given, mirror=False), given, rtol=1e-5, atol=1e-5)


def test_a_mirrored_image_is_reflected(monkeypatch):
    given = torch.rand(2, 1, 8, 8)
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: torch.full(shape, 0.4 if len(shape) == 1 else 0.5))
    torch.testing.assert_close(random_transform(given, mirror=True), given.flip(3), rtol=1e-5, atol=1e-5)


def test_images_are_transformed_one_by_one_within_their_range():
    torch.manual_seed(0)
    given = torch.rand(1, 1, 28, 28).expand(6, 1, 28, 28)
    found = random_transform(given, mirror=False)
    assert found.shape == given.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert not torch.equal(found[0], found[1])


def test_a_constant_displacement_moves_the_image(monkeypatch):
    given = torch.rand(2, 1, 20, 20)
    quarter = lambda *shape, device=None: torch.full(shape, 0.5 if len(shape) < 4 else 0.5 + 1 / 2.4)  # noqa: E731
    monkeypatch.setattr(torch, "rand", quarter)
    torch.testing.assert_close(random_transform(given, mirror=False)[..., :19, :19], given[..., 1:, 1:], rtol=1e-4, atol=1e-4)


# --- networks


def test_a_pretrained_network_begins_with_the_encoder_of_the_run(trained_vae):
    given = trained_vae.dataset.test.head(8).images
    for pretrained in (True, False):
        network = new_network(trained_vae, 10, seed=0, pretrained=pretrained).eval()
        found = features_of(network.model, given)
        assert torch.allclose(found, trained_vae.encode(given), rtol=1e-4, atol=1e-5) == pretrained


def test_the_loss_of_self_training_is_a_mean_over_labelled_images_plus_one_over_confident_ones(trained_vae, monkeypatch):
    monkeypatch.setattr(network_module, "THRESHOLD", 0.989)
    given = trained_vae.dataset.train.head(12)
    game = SelfTraining(new_network(trained_vae, 10, 0, pretrained=True), mirror=False).eval()
    with torch.no_grad():
        game.network.head.weight.mul_(30)  # so that some predictions are confident, and others are not
    labels = given.labels.clone()
    labels[1::2] = -1
    torch.manual_seed(0)
    found = game._losses(Batch(given.images, Condition(labels)))["classifier"].total
    torch.manual_seed(0)
    log_probabilities = torch.log_softmax(game.network(random_transform(given.images, False)), 1)
    confidence, guessed = torch.softmax(game.network(given.images[1::2]), 1).max(1)
    assert 0 < (confidence >= 0.989).sum() < 6
    labelled = -log_probabilities[::2].gather(1, given.labels[::2, None]).mean()
    pseudo = -(log_probabilities[1::2].gather(1, guessed[:, None])[:, 0] * (confidence >= 0.989)).mean()
    torch.testing.assert_close(found, labelled + pseudo)


# --- storage


@pytest.mark.parametrize("name", list(METHODS))
def test_a_stored_classifier_gives_the_same_probabilities(name, copied):
    method, problem = METHODS[name], Problem(copied, 50, seed=0, steps=6)
    inputs = method.inputs(copied)
    fitted = method.fit(problem, inputs)
    again = method.fit(problem, inputs)
    given = copied.dataset.test.head(40).images
    expected = fitted.classifier.predict_proba(inputs.of(given), 1.7)
    assert torch.equal(again.classifier.predict_proba(inputs.of(given), 1.7), expected)
    path = write_classifier(copied, fitted.classifier, {"method": name, "temperature": 1.7, "protocol": {}})
    json.dumps(method.facts(problem, inputs) | dict(fitted.facts))
    stored = read_classifier(copied)
    assert stored.method is method
    assert torch.equal(stored.probabilities(copied, given), expected)
    assert {item.suffix for item in path.parent.iterdir()} == {".json", ".safetensors"}


def test_a_classifier_of_other_weights_or_a_damaged_one_is_refused(copied):
    with pytest.raises(UsageError, match="has no classifier: train it"):
        read_classifier(copied)
    problem, inputs = Problem(copied, 50), model_features(copied)
    path = write_classifier(copied, methods.fit_neighbors(problem, inputs).classifier, {"method": "knn", "temperature": 1.0})
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "weights": "0" * 64}))
    with pytest.raises(UsageError, match="of other weights"):
        read_classifier(copied)
    path.write_text(json.dumps({**facts, "sha256": "0" * 64}))
    with pytest.raises(DataError, match="another SHA-256"):
        read_classifier(copied)
    path.write_text(json.dumps({**facts, "method": "guess"}))
    with pytest.raises(UsageError, match="unknown method 'guess'"):
        read_classifier(copied)
    path.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        read_classifier(copied)


def test_held_out_features_are_computed_once(trained_vae):
    calls = []

    def extract(part):
        calls.append(len(part))
        return part.flatten(1)

    given = Representation("counted", extract, trained_vae.dataset)
    assert given.test is given.test
    assert sum(calls) == len(trained_vae.dataset.test)
    assert images(trained_vae).test.shape[1:] == trained_vae.spec.shape
