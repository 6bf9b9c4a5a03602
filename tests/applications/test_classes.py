"""Conditional models in use: classes by style, images rendered as another class, training on few labels."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.batch import Attribute
from simulacra.core.condition import Condition
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.progress import SILENT
from simulacra.interfaces.cli import main
from simulacra.metrics import find
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.settings import SharedSettings

QUICK: dict[str, Any] = {"duration": "4", "batch": 32, "threads": 1, "snapshots": 1, "hidden": (16,), "latent_dim": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> simulacra.Model:
    out = tmp_path_factory.mktemp("cvae") / "run"
    return simulacra.train("cvae", preset="dense", data="digits", prior="learned", out=out, **QUICK)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> simulacra.Model:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (120, 8, 8), dtype=np.uint8)
    labels = np.stack([generator.integers(0, 3, 120), generator.integers(0, 2, 120)], 1)
    names = [Attribute("digit", ("0", "1", "2")), Attribute("hue", ("red", "blue"))]
    data = simulacra.from_array(images, labels, attributes=names)
    out = tmp_path_factory.mktemp("cvae") / "coloured"
    return simulacra.train("cvae", preset="dense", dataset=data, out=out, **QUICK)


def output(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main([str(word) for word in words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# --- sample


def test_a_row_of_the_grid_is_a_class_and_a_column_has_one_noise(model: simulacra.Model) -> None:
    images = model.sample_classes(4, seed=3)
    assert images.shape == (10, 4, 1, 8, 8)
    for label in (0, 7):
        torch.testing.assert_close(images[label], model.sample(4, seed=3, label=str(label)))
    torch.testing.assert_close(model.sample_classes(2, seed=3), images[:, :2])


def test_other_attributes_are_given_or_drawn_once_for_each_column(coloured: simulacra.Model) -> None:
    given, drawn = coloured.sample_classes(5, label="hue=blue"), coloured.sample_classes(5)
    assert given.shape == drawn.shape == (3, 5, 1, 8, 8)
    torch.testing.assert_close(given[1], coloured.sample(5, label="digit=1,hue=blue"))
    red, blue = (coloured.sample(5, label=f"digit=2,hue={hue}") for hue in ("red", "blue"))
    is_red = [torch.allclose(drawn[2, style], red[style], atol=1e-6) for style in range(5)]
    for style in range(5):
        hue = "red" if is_red[style] else "blue"
        for digit in range(3):
            expected = coloured.sample(5, label=f"digit={digit},hue={hue}")[style]
            torch.testing.assert_close(drawn[digit, style], expected)
    assert not torch.allclose(red, blue)


@pytest.mark.long
def test_the_grid_is_saved_by_the_command_also_of_other_conditional_families(
    capsys: pytest.CaptureFixture[str], model: simulacra.Model, tmp_path: Any
) -> None:
    words = ["--grid", "classes", "--count", "40", "--out", tmp_path / "grid.png", "--json"]
    found = output(capsys, "sample", model.run.path, *words)
    assert (found["classes"], found["styles"]) == (10, 4)
    with Image.open(tmp_path / "grid.png") as image:
        assert image.height > image.width
    small: dict[str, Any] = {"features": (4, 4), "conditional": True, "sampling_steps": 2, "duration": "2"}
    small |= {"batch": 32, "threads": 1, "snapshots": 1}
    other = simulacra.train("diffusion", data="digits", out=tmp_path / "diffusion", **small)
    found = output(capsys, "sample", other.run.path, *words, "--steps", "3")
    assert (found["classes"], found["styles"], found["steps"]) == (10, 4, 3)


def test_labels_of_the_grid_that_contradict_it_are_refused(
    model: simulacra.Model, coloured: simulacra.Model, trained_vae: simulacra.Model
) -> None:
    with pytest.raises(UsageError, match="leave --label 3 out"):
        model.sample_classes(4, label="3")
    with pytest.raises(UsageError, match="leave digit out of --label digit=1"):
        coloured.sample_classes(4, label="digit=1,hue=red")
    with pytest.raises(NotApplicable, match="takes no labels"):
        trained_vae.sample_classes(4)


# --- reconstruct


def test_an_image_is_encoded_with_its_own_label_and_decoded_with_the_requested_one(model: simulacra.Model) -> None:
    batch = model.dataset.test.head(6)
    latents = model.encode(batch.images, batch.condition)
    expected = model.decode(latents, Condition(torch.full((6,), 5)))
    torch.testing.assert_close(model.reconstruct(batch.images, batch.condition, label="5"), expected)
    every = model.render_classes(batch.images, batch.condition)
    assert every.shape == (10, 6, 1, 8, 8)
    torch.testing.assert_close(every[5], expected)
    own = torch.stack([every[label, row] for row, label in enumerate(batch.condition.labels.tolist())])  # type: ignore[union-attr]
    torch.testing.assert_close(own, model.reconstruct(batch.images, batch.condition))


def test_images_without_labels_are_encoded_with_their_most_probable_one(
    model: simulacra.Model, coloured: simulacra.Model
) -> None:
    images = model.dataset.test.head(6).images
    best: Any = model.model
    labels = model.apply(best.class_log_probabilities, images).argmax(1)
    torch.testing.assert_close(model.reconstruct(images, label="5"), model.reconstruct(images, Condition(labels), label="5"))
    assert coloured.render_classes(coloured.dataset.test.head(4).images).shape == (3, 4, 1, 8, 8)


def test_attributes_that_are_not_rendered_are_kept(coloured: simulacra.Model) -> None:
    batch = coloured.dataset.test.head(4)
    every = coloured.render_classes(batch.images, batch.condition)
    assert batch.condition.labels is not None
    wanted = batch.condition.labels.clone()
    wanted[:, 0] = 2
    expected = coloured.decode(coloured.encode(batch.images, batch.condition), Condition(wanted))
    torch.testing.assert_close(every[2], expected)


def test_rendered_images_are_saved_by_the_command(
    capsys: pytest.CaptureFixture[str], model: simulacra.Model, tmp_path: Any
) -> None:
    for label, rows in (("5", 3), ("all", 12)):
        words = ["--label", label, "--count", "8", "--out", tmp_path / "out.png", "--json"]
        assert output(capsys, "reconstruct", model.run.path, *words)["label"] == label
        with Image.open(tmp_path / "out.png") as image:
            assert image.height // (image.width // 8) == rows
    assert main(["reconstruct", str(model.run.path), "--label", "ten"]) == UsageError.exit_code


def test_models_without_labels_are_refused(trained_vae: simulacra.Model) -> None:
    assert main(["reconstruct", str(trained_vae.run.path), "--label", "5"]) == NotApplicable.exit_code
    with pytest.raises(NotApplicable, match="takes no labels"):
        trained_vae.render_classes(trained_vae.dataset.test.head(2).images)


# --- metrics of generated images


def test_metrics_of_requested_classes_generate_them(model: simulacra.Model) -> None:
    context = EvaluationContext(model, SharedSettings(samples=103), SILENT)
    ((images, labels),) = context.labelled_images()
    assert context.classes == 10
    assert torch.equal(labels, torch.arange(103) % 10)
    expected = model.sample(103, label="4")
    torch.testing.assert_close(images[4::10], (expected * 255).round()[4::10] / 255)
    for name in ("label_agreement", "class_histogram", "classification_accuracy_score"):
        reason = find(name).not_applicable(context)
        assert reason == "" or "--cas" in reason


# --- few labels


@pytest.mark.long
def test_m2_trains_on_few_labels_and_resumes_with_the_same_bits(tmp_path: Any) -> None:
    settings = {**QUICK, "preset": "m2", "data": "digits", "labels": 20, "classifier_features": (4,), "classifier_hidden": (8,)}
    straight = simulacra.train("cvae", out=tmp_path / "straight", **settings)
    short = simulacra.train("cvae", out=tmp_path / "resumed", **{**settings, "duration": "2", "schedule": "constant"})
    resumed = simulacra.resume(short.run.path, duration="4")
    again = simulacra.train("cvae", out=tmp_path / "again", **{**settings, "schedule": "constant"})
    first, second = again.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    found = straight.evaluate(samples=0, particles=2)
    metrics = found["metrics"]
    assert metrics["classifier_accuracy"]["protocol"]["training_labels"] == 20
    assert {"bayes_accuracy", "conditional_bound_nats", "conditional_nll_nats", "nll_nats"} <= set(metrics)
    assert "labels" in found["not_applicable"]["elbo"]


def test_models_that_need_every_label_refuse_few(tmp_path: Any) -> None:
    for family, words in (("cvae", "this CVAE cannot train on"), ("vae", "this VAE cannot train on")):
        with pytest.raises(UsageError, match=words):
            simulacra.train(family, preset="dense", data="digits", labels=20, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="expected at least 10"):
        simulacra.train("cvae", preset="m2", data="digits", labels=9, out=tmp_path / "run", **QUICK)
