"""Evaluation from end to end, with models whose fault is known: collapsed, memorizing, and sane; and results that are kept."""

import base64
import io
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from simulacra.metrics.image_positions import by_class
from simulacra.metrics.measures import measures
from torch import Tensor, nn

import simulacra
from simulacra.core.capabilities import Samples
from simulacra.core.progress import SILENT
from simulacra.data.dataset import Dataset
from simulacra.evaluation.metric_table import newest
from simulacra.features.extractor import Embedding
from simulacra.features.training import train_extractor
from simulacra.images.grid import GAP
from simulacra.interfaces.cli import main
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.settings import EvaluateConfig
from simulacra.reports.evaluation_images import exhibition
from simulacra.runs.opened import OpenedRun, open_run

TINY = {"duration": "80", "batch": 64, "threads": 1, "precision": "float32", "device": "cpu"}
SAMPLES = 600
NAMES = {"frechet_distance", "kernel_distance", "precision", "diversity", "nearest_train_ratio", "modes_covered", "class_kl"}


class Player(nn.Module, Samples):
    """A model that plays back images: which one, the noise decides. Its family is that of the run that it is put into."""

    summary, paper = "plays back images", "tests"
    noise_shape = (4,)

    def __init__(self, images: Tensor, shake: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("images", images)
        self.shake = shake

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images with a little of the noise on them, if the model shakes."""
        positions = (noise[:, 0].double() * 1e6).long() % len(cast(Tensor, self.images))
        chosen = cast(Tensor, self.images)[positions]
        return (chosen + self.shake * noise[:, 1].reshape(-1, 1, 1, 1)).clamp(0, 1)


@pytest.fixture(scope="module")
def digits(cache) -> Dataset:
    """The digits, many of them held out for validation, and a small extractor for them in the cache of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        data = simulacra.load_data("digits", validation=0.4)
        train_extractor("lenet", data, TINY)
    return data


@pytest.fixture
def played(trained_vae, digits, tmp_path):
    """Return how to make a trained model that plays back images."""

    def make(images: Tensor, shake: float = 0.0) -> OpenedRun:
        model = copied(trained_vae, digits, tmp_path)
        model.model = cast(Any, Player(images, shake))
        return model

    return make


def copied(trained: OpenedRun, data: Dataset, folder) -> OpenedRun:
    shutil.copytree(trained.run.path, folder / "run", ignore=shutil.ignore_patterns("evaluation"))
    return open_run(folder / "run", dataset=data)


def told(warnings):
    return {sentence.partition(":")[0] for sentence in warnings}


# --- controls


def test_a_model_that_makes_nearly_the_same_image_is_flagged_as_collapsed(played, digits):
    result = played(digits.validation.head(1).images, shake=0.02).evaluate(samples=SAMPLES)
    assert "mode collapse" in told(result["warnings"])
    assert result["metrics"]["diversity"]["value"] < 0.2
    assert result["metrics"]["modes_covered"]["value"] <= 2


def test_a_model_that_returns_training_images_is_flagged_as_memorizing(played, digits):
    result = played(digits.train.head(300).images).evaluate(samples=SAMPLES)
    assert told(result["warnings"]) == {"memorization"}
    assert result["metrics"]["nearest_train_ratio"]["value"] < 0.01


def test_a_few_copies_among_many_new_images_are_flagged_too(played, digits):
    new, old = digits.validation.head(450).images, digits.train.head(50).images
    result = played(torch.cat([new, old])).evaluate(samples=SAMPLES)
    assert told(result["warnings"]) == {"memorization"}
    assert result["metrics"]["nearest_train_ratio"]["value"] > 0.5


def test_a_model_that_makes_new_images_of_the_same_law_is_not_flagged(played, digits):
    found = played(digits.validation.head(10**9).images).evaluate(samples=SAMPLES)
    assert found["warnings"] == []
    metrics = found["metrics"]
    assert metrics["frechet_distance"]["value"] < 3 * metrics["frechet_floor"]["value"]
    assert 0.8 < metrics["nearest_train_ratio"]["value"] < 1.25
    assert metrics["modes_covered"]["value"] == 10


# --- the pictures that belong to the numbers


def test_the_report_puts_the_very_image_under_each_copy(played, digits):
    model = played(torch.cat([digits.validation.head(450).images, digits.train.head(50).images]))
    model.evaluate(samples=SAMPLES)
    evaluation = newest(model.run)
    assert evaluation is not None
    found = evaluation.pictures["suspects"]
    images = model.sample(SAMPLES)
    for number, row in zip(found["generated"], found["train"], strict=True):
        assert torch.equal(images[number], digits.train[row : row + 1].head(1).images[0])
    shown = exhibition(model, evaluation, "")
    assert len(shown.neighbours) == 2
    assert shown.ratios == pytest.approx((0, 0), abs=1e-3)
    for picture in shown.neighbours:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.source.partition(",")[2]))))
        side = (len(pixels) - GAP) // 2
        assert np.array_equal(pixels[:side], pixels[-side:])


def test_images_of_a_class_are_those_in_which_the_classifier_sees_it(played, digits):
    labels = digits.validation.labels
    assert labels is not None
    model = played(digits.validation[labels == 3].head(10**9).images)
    model.evaluate(samples=SAMPLES)
    shown = exhibition(model, newest(model.run), "")
    assert [row.name for row in shown.classes] == list(digits.spec.classes)
    assert max(shown.classes, key=lambda row: row.share).name == digits.spec.classes[3]
    assert sum(row.usual for row in shown.classes) == pytest.approx(1)
    assert any(row.generated is None for row in shown.classes)
    assert all(row.real is not None for row in shown.classes)


def test_positions_of_a_class_are_its_first_images_in_order():
    seen, real = torch.tensor([1, 0, 1, 1]), torch.tensor([0, 0, 1, 0])
    found = by_class(seen, real, ("a", "b", "c"))
    assert found["generated"] == [[1], [0, 2, 3], []]
    assert found["real"] == [[0, 1, 3], [2], []]
    assert found["shares"] == [[0.25, 0.75], [0.75, 0.25], [0.0, 0.0]]
    assert by_class(seen, real, tuple("abcdefghijklmn"))["of"] == 14
    assert len(by_class(seen, real, tuple("abcdefghijklmn"))["names"]) == 10


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda model: None, "the model has not been evaluated yet"),
        (lambda model: model.evaluate(samples=0, particles=2), "--samples 0 leaves it out"),
        (lambda model: model.evaluate(samples=50, particles=2), "at least 100 are needed"),
    ],
)
def test_pictures_that_are_absent_say_why(trained_vae, digits, tmp_path, prepare, reason):
    model = copied(trained_vae, digits, tmp_path)
    prepare(model)
    shown = exhibition(model, newest(model.run), "")
    assert reason in shown.no_neighbours
    page = model.report().read_text()
    assert page.count("Not shown: ") == (1 if "100" in reason else 2)


def test_an_evaluation_of_other_weights_is_not_drawn_with_these(played, digits):
    model = played(digits.train.head(300).images)
    model.evaluate(samples=SAMPLES)
    other = open_run(model.run.path, dataset=digits)
    assert exhibition(other, newest(other.run), "").no_neighbours == "the evaluation is of an earlier checkpoint"
    assert exhibition(model, newest(model.run), "the disk is gone").no_classes == "the disk is gone"


def test_the_page_of_an_evaluated_run_shows_warnings_floors_neighbours_and_classes(trained_vae, digits, tmp_path):
    model = copied(trained_vae, digits, tmp_path)
    result = model.evaluate(samples=SAMPLES, particles=2)
    assert result["warnings"]
    page = model.report().read_text()
    assert len(page) < 3e6
    assert page.index('<p class="warning">') < page.index('<section id="numbers">')
    assert page.count('<p class="warning">') == len(result["warnings"])
    floor = result["metrics"]["precision"]["protocol"]["real_against_real"]
    assert f'<td class="soft">{floor:.3g}</td>' in page
    assert page.count("each above the training image that is nearest to it") == 2
    assert page.count("Test images in which") == 10
    assert "Not shown" not in page


# --- results that are kept


class Told:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.task = SILENT.task

    def message(self, message: str) -> None:
        """Remember a line."""
        self.lines.append(message)


@pytest.fixture
def model(trained_vae, digits, tmp_path):
    return copied(trained_vae, digits, tmp_path)


@pytest.fixture
def taken(monkeypatch):
    """Return the names of the measures that are taken, as they are."""
    names: list[str] = []

    def noted(measure):
        def take(context):
            names.append(measure.name)
            return measure.take(context)

        return replace(measure, take=take)

    monkeypatch.setattr(
        "simulacra.evaluation.evaluate.measures", lambda data: tuple(noted(measure) for measure in measures(data))
    )
    return names


QUICK = {"samples": 150, "particles": 2}
ALL = ["reconstruction", "latents", "bounds", "fidelity", "likelihood"]


def test_a_second_evaluation_measures_nothing_again_and_says_so(model, taken):
    progress = Told()
    first = model.evaluate(**QUICK)
    assert taken == ALL
    taken.clear()
    second = model.evaluate(progress, **QUICK)
    assert taken == []
    assert progress.lines == [f"measured before, and taken from there: {', '.join(ALL)}"]
    assert {**first, "evaluated": ""} == {**second, "evaluated": ""}


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"particles": 3}, ["likelihood"]),
        ({"samples": 160}, ["fidelity"]),
        ({"extractor": "none"}, []),
        ({"seed": 1}, ["bounds", "fidelity", "likelihood"]),
    ],
)
def test_a_changed_setting_measures_only_what_depends_on_it(model, taken, changed, again):
    model.evaluate(**QUICK)
    taken.clear()
    progress = Told()
    model.evaluate(progress, **{**QUICK, **changed})
    assert taken == again
    assert len([line for line in progress.lines if line.startswith("to measure: ")]) == bool(again)


def test_validation_images_are_measured_like_test_images_and_apart_from_them(model, taken):
    of_test = model.evaluate(**QUICK)
    taken.clear()
    found = model.evaluate(split="validation", **QUICK)
    assert taken == ALL
    held_out = model.dataset.validation
    assert (found["data"]["split"], found["data"]["n"]) == ("validation", len(held_out))
    assert found["metrics"]["mse"]["n"] == len(held_out) != of_test["metrics"]["mse"]["n"]
    images = held_out.batch(np.arange(len(held_out))).images
    error = (model.reconstruct(images) - images).square().mean().item()
    assert found["metrics"]["mse"]["value"] == pytest.approx(error, rel=1e-5)
    protocol = found["metrics"]["frechet_distance"]["protocol"]
    assert (protocol["reference"], protocol["reference_n"]) == ("validation", len(held_out))
    shown = newest(model.run)
    assert shown is not None
    assert {number.n for number in shown.numbers if number.name == "mse"} == {of_test["metrics"]["mse"]["n"]}


def test_other_weights_are_measured_anew(model, taken):
    model.evaluate(**QUICK)
    taken.clear()
    with torch.no_grad():
        next(model.model.parameters()).add_(1e-3)
    del model.digest
    model.evaluate(**QUICK)
    assert taken == ALL


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text.replace('"value": ', '"value": 1'),
        lambda text: text.replace('"n": 2', '"n": 3'),
    ],
)
def test_a_damaged_result_is_measured_anew_and_not_announced_as_there(model, taken, damage):
    first = model.evaluate(**QUICK)
    (file,) = (model.run.evaluations / "measures").glob("reconstruction-*.json")
    assert damage(file.read_text()) != file.read_text()
    file.write_text(damage(file.read_text()))
    taken.clear()
    progress = Told()
    assert model.evaluate(progress, **QUICK)["metrics"] == first["metrics"]
    assert taken == ["reconstruction"]
    assert "reconstruction" not in progress.lines[0]
    assert progress.lines[1].startswith("to measure: reconstruction (")


def test_too_few_samples_are_refused_number_by_number_and_the_rest_is_measured(capsys, model, monkeypatch):
    monkeypatch.setattr(OpenedRun, "dataset", model.dataset, raising=False)
    assert main(["evaluate", str(model.run.path), "--samples", "50", "--particles", "2", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    missing = content["not_applicable"]
    assert "frechet_distance of 50 generated images: at least 129 are needed" in missing["frechet_distance"]
    for name in ("kernel_distance", "precision", "nearest_train_ratio", "modes_covered", "class_kl"):
        assert "at least 100 are needed" in missing[name]
    assert "diversity" in content["metrics"]
    assert "nll_nats" in content["metrics"]
    assert not NAMES - {"diversity"} & set(content["metrics"])


def test_features_of_one_size_are_not_taken_for_those_of_another(digits):
    trained = [
        cast(Any, SimpleNamespace(dataset=data)) for data in (digits, simulacra.load_data("digits", size=12, validation=0.4))
    ]
    subjects = [EvaluationContext(item, EvaluateConfig(), SILENT) for item in trained]
    subjects[1].extractor = subjects[0].extractor = loaded(digits)
    found = [context.real(context.split) for context in subjects]
    assert all(isinstance(item, Embedding) for item in found)
    assert not torch.equal(found[0].features, found[1].features)


def loaded(data):
    return EvaluationContext(cast(Any, SimpleNamespace(dataset=data, spec=data.spec)), EvaluateConfig(), SILENT).extractor
