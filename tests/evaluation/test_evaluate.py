"""Evaluation from end to end, with models of a known defect (collapse, memorization) and without; and cached results."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import simulacra
from simulacra.core.capabilities import Samples
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import NonFiniteError, NotApplicable, UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset
from simulacra.evaluation import evaluate as evaluation
from simulacra.evaluation.metric_table import newest
from simulacra.evaluation.sections import evaluation_sections
from simulacra.evaluation.settings import evaluation_settings, require_applicable_to_one, selected, settings_for
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.features import classifier, training
from simulacra.features.extractor import Embedding
from simulacra.features.training import train_extractor
from simulacra.images.grid import GAP
from simulacra.images.section import ReportSection
from simulacra.interfaces.cli import main
from simulacra.metrics import context as context_module
from simulacra.metrics.class_histogram import images_by_class
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.opened import OpenedRun, open_run

TINY = {"duration": "40", "batch": 64, "threads": 1, "precision": "float32", "device": "cpu"}
SAMPLES = 600
NAMES = {"frechet_distance", "kernel_distance", "precision", "diversity", "nearest_train_ratio", "modes_covered", "class_kl"}


class Player(nn.Module, Samples):
    """A model that returns given images, chosen by the noise. It replaces the model of a run."""

    summary, paper = "returns given images", "tests"
    noise_shape = (4,)

    def __init__(self, images: Tensor, shake: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("images", images)
        self.shake = shake

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images, with added noise of the scale `shake`."""
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
    """Return a function from images to a run whose model returns these images."""

    def make(images: Tensor, shake: float = 0.0) -> OpenedRun:
        model = copied(trained_vae, digits, tmp_path)
        model.model = cast(Any, Player(images, shake))
        return model

    return make


def copied(trained: OpenedRun, data: Dataset, folder) -> OpenedRun:
    shutil.copytree(trained.run.path, folder / "run", ignore=shutil.ignore_patterns("evaluation"))
    return open_run(folder / "run", dataset=data)


def kinds(warnings):
    return {sentence.partition(":")[0] for sentence in warnings}


def evaluate(model: OpenedRun, progress: Progress = SILENT, **settings: Any) -> dict[str, Any]:
    """Evaluate with those of the settings that apply to the model."""
    applicable = settings_for(model.model)
    chosen = {name: value for name, value in settings.items() if name in applicable}
    return evaluation.evaluate(model, evaluation_settings(chosen), progress)


# --- controls


def test_a_model_that_makes_nearly_the_same_image_is_flagged_as_collapsed(played, digits):
    result = evaluate(played(digits.validation.head(1).images, shake=0.02), samples=SAMPLES)
    assert "mode collapse" in kinds(result["warnings"])
    assert result["metrics"]["diversity"]["value"] < 0.2
    assert result["metrics"]["modes_covered"]["value"] <= 2
    verdict, reference, advice = result["summary"]
    assert ": collapsed. Generated images are too similar" in verdict
    assert "297 test images of digits" in reference
    assert "simulacra resume" in advice


def test_a_model_that_returns_training_images_is_flagged_as_memorizing(played, digits):
    result = evaluate(played(digits.train.head(300).images), samples=SAMPLES)
    assert kinds(result["warnings"]) == {"memorization"}
    assert result["metrics"]["nearest_train_ratio"]["value"] < 0.01
    assert ": repeats training images. " in result["summary"][0]
    assert "train on more images" in result["summary"][2]


@pytest.mark.long
def test_a_few_copies_among_many_new_images_are_flagged_too(played, digits):
    new, old = digits.validation.head(450).images, digits.train.head(50).images
    result = evaluate(played(torch.cat([new, old])), samples=SAMPLES)
    assert kinds(result["warnings"]) == {"memorization"}
    assert result["metrics"]["nearest_train_ratio"]["value"] > 0.5


def test_new_images_of_the_same_distribution_give_no_warning(played, digits):
    found = evaluate(played(digits.validation.head(10**9).images), samples=SAMPLES)
    assert found["warnings"] == []
    metrics = found["metrics"]
    assert metrics["frechet_distance"]["value"] < 3 * metrics["frechet_floor"]["value"]
    assert 0.8 < metrics["nearest_train_ratio"]["value"] < 1.25
    assert metrics["modes_covered"]["value"] == 10
    assert ": good. " in found["summary"][0]
    assert "simulacra report" in found["summary"][2]


def test_images_of_poor_quality_are_called_so_and_not_collapsed(played, digits):
    images = digits.validation.head(450).images
    found = evaluate(
        played(0.7 * images + 0.3 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))), samples=SAMPLES
    )
    assert "mode collapse" not in kinds(found["warnings"])
    verdict, _, advice = found["summary"]
    assert "poor. " in verdict
    assert "resemble real ones" in verdict
    assert "trains longer" in advice


# --- the report sections of metrics


def section_of(model: OpenedRun, title: str, problem: str = "") -> ReportSection:
    (found,) = (item for item in evaluation_sections(model, newest(model.run), problem) if item.title == title)
    return found


def test_the_report_has_the_copied_image_below_each_copy(played, digits):
    model = played(torch.cat([digits.validation.head(450).images, digits.train.head(50).images]))
    evaluate(model, samples=SAMPLES)
    evaluation = newest(model.run)
    assert evaluation is not None
    found = evaluation.artifacts["memorization"]
    images = torch.cat(list(EvaluationContext(model, evaluation_settings({"samples": SAMPLES}), SILENT).images()))
    for number, row in zip(found["generated"], found["train"], strict=True):
        assert torch.equal(images[number], digits.train[row : row + 1].head(1).images[0])
    assert max(found["ratios"]) == pytest.approx(0, abs=1e-3)
    shown = section_of(model, "Nearest neighbours")
    assert len(shown.rows) == 2
    for (figure,) in shown.rows:
        pixels = np.asarray(figure.image)
        side = (len(pixels) - GAP) // 2
        assert np.array_equal(pixels[:side], pixels[-side:])


def test_images_of_a_class_are_those_that_the_classifier_assigns_to_it(played, digits):
    labels = digits.validation.labels
    assert labels is not None
    model = played(digits.validation[labels == 3].head(10**9).images)
    evaluate(model, samples=SAMPLES)
    evaluation = newest(model.run)
    assert evaluation is not None
    found = evaluation.artifacts["class_histogram"]
    generated, real = zip(*found["shares"], strict=True)
    assert found["names"] == list(digits.spec.classes)
    assert max(range(10), key=generated.__getitem__) == 3
    assert sum(real) == pytest.approx(1)
    shown = section_of(model, "Images by class")
    assert len(shown.rows) == 10
    assert {len(row) for row in shown.rows} == {1, 2}  # classes without generated images have test images only


def test_positions_of_a_class_are_its_first_images_in_order():
    predicted, real = torch.tensor([1, 0, 1, 1]), torch.tensor([0, 0, 1, 0])
    found = images_by_class(predicted, real, ("a", "b", "c"))
    assert found["generated"] == [[1], [0, 2, 3], []]
    assert found["real"] == [[0, 1, 3], [2], []]
    assert found["shares"] == [[0.25, 0.75], [0.75, 0.25], [0.0, 0.0]]
    assert images_by_class(predicted, real, tuple("abcdefghijklmn"))["of"] == 14
    assert len(images_by_class(predicted, real, tuple("abcdefghijklmn"))["names"]) == 10


@pytest.mark.parametrize(
    ("settings", "reason"),
    [(None, "not evaluated"), ({"samples": 0}, "--samples 0"), ({"samples": 50}, "at least 100"), ({"metrics": "elbo"}, "")],
)
def test_sections_without_figures_have_a_reason(trained_vae, digits, tmp_path, settings, reason):
    model = copied(trained_vae, digits, tmp_path)
    if settings:
        evaluate(model, particles=2, **settings)
    found = section_of(model, "Nearest neighbours")
    assert not found.rows
    assert found.missing
    assert reason in found.missing


def test_an_evaluation_of_other_weights_or_without_data_has_no_figures(played, digits):
    model = played(digits.train.head(300).images)
    evaluate(model, samples=SAMPLES)
    other = open_run(model.run.path, dataset=digits)
    assert "earlier checkpoint" in section_of(other, "Nearest neighbours").missing
    assert "the disk is gone" in section_of(model, "Images by class", "the disk is gone").missing


# --- cached results


class Messages:
    """A Progress that records its messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.task = SILENT.task

    def message(self, message: str) -> None:
        """Record a line."""
        self.lines.append(message)


@pytest.fixture
def model(trained_vae, digits, tmp_path):
    return copied(trained_vae, digits, tmp_path)


@pytest.fixture
def taken(monkeypatch):
    """Return a list to which the name of each metric is added when it is measured."""
    names: list[str] = []

    def recorded(metric):
        def measure(context):
            names.append(metric.name)
            return metric.measure(context)

        return replace(metric, measure=measure)

    monkeypatch.setattr(evaluation, "measuring_seconds", lambda *_: 1.0)  # it measures a part of each
    monkeypatch.setattr(evaluation, "selected", lambda settings: tuple(recorded(metric) for metric in selected(settings)))
    return names


QUICK: dict[str, Any] = {"samples": 150, "particles": 2}
FIDELITY = ["frechet_distance", "kernel_distance", "precision_recall", "diversity", "class_histogram", "memorization"]
ALL = ["reconstruction", "active_units", "elbo", "knn_accuracy", "probe_accuracy", *FIDELITY, "nll"]


def test_a_second_evaluation_uses_cached_results(model, taken):
    progress = Messages()
    first = evaluate(model, **QUICK)
    assert taken == ALL
    taken.clear()
    second = evaluate(model, progress, **QUICK)
    assert taken == []
    assert progress.lines == [f"cached: {', '.join(ALL)}"]
    assert {**first, "evaluated": ""} == {**second, "evaluated": ""}


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"particles": 3}, ["nll"]),
        pytest.param({"samples": 160}, FIDELITY, marks=pytest.mark.long),
        pytest.param({"extractor": "none"}, [], marks=pytest.mark.long),
        pytest.param({"seed": 1}, ["elbo", *FIDELITY, "nll"], marks=pytest.mark.long),
    ],
)
def test_a_changed_setting_measures_only_what_depends_on_it(model, taken, changed, again):
    evaluate(model, **QUICK)
    taken.clear()
    progress = Messages()
    evaluate(model, progress, **{**QUICK, **changed})
    assert taken == again
    assert len([line for line in progress.lines if line.startswith("to measure: ")]) == bool(again)


@pytest.mark.long
def test_validation_images_are_measured_like_test_images_and_apart_from_them(model, taken):
    of_test = evaluate(model, **QUICK)
    taken.clear()
    found = evaluate(model, split="validation", **QUICK)
    assert taken == ALL
    held_out = model.dataset.validation
    assert (found["data"]["split"], found["data"]["n"]) == ("validation", len(held_out))
    assert found["metrics"]["mse"]["n"] == len(held_out) != of_test["metrics"]["mse"]["n"]
    images = held_out.batch(np.arange(len(held_out))).images
    error = (model.apply(model.model.reconstruct, images) - images).square().mean().item()
    assert found["metrics"]["mse"]["value"] == pytest.approx(error, rel=1e-5)
    protocol = found["metrics"]["frechet_distance"]["protocol"]
    assert (protocol["reference"], protocol["reference_n"]) == ("validation", len(held_out))
    shown = newest(model.run)
    assert shown is not None
    assert {number.n for number in shown.numbers if number.name == "mse"} == {of_test["metrics"]["mse"]["n"]}


@pytest.mark.long
def test_other_weights_are_measured_anew(model, taken):
    evaluate(model, **QUICK)
    taken.clear()
    with torch.no_grad():
        next(model.model.parameters()).add_(1e-3)
    del model.digest
    evaluate(model, **QUICK)
    assert taken == ALL


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        pytest.param(lambda text: "", marks=pytest.mark.long),
        pytest.param(lambda text: "[1, 2]", marks=pytest.mark.long),
        lambda text: text.replace('"value": ', '"value": 1'),
        pytest.param(lambda text: text.replace('"n": 2', '"n": 3'), marks=pytest.mark.long),
    ],
)
def test_a_damaged_result_is_measured_again(model, taken, damage):
    first = evaluate(model, **QUICK)
    (file,) = (model.run.evaluations / "metrics").glob("reconstruction-*.json")
    assert damage(file.read_text()) != file.read_text()
    file.write_text(damage(file.read_text()))
    taken.clear()
    progress = Messages()
    assert evaluate(model, progress, **QUICK)["metrics"] == first["metrics"]
    assert taken == ["reconstruction"]
    assert any(line.startswith("cached: ") and "reconstruction" not in line for line in progress.lines)
    assert any(line.startswith("to measure: reconstruction (") for line in progress.lines)


def test_too_few_samples_are_an_error_of_each_number_and_the_rest_is_measured(capsys, model, monkeypatch):
    monkeypatch.setattr(OpenedRun, "dataset", model.dataset, raising=False)
    assert main(["evaluate", str(model.run.path), "--samples", "50", "--particles", "2", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    missing = content["not_applicable"]
    assert "129" in missing["frechet_distance"]
    for name in ("kernel_distance", "precision_recall", "memorization", "class_histogram"):
        assert "100" in missing[name]
    assert "diversity" in content["metrics"]
    assert "nll_nats" in content["metrics"]
    assert not NAMES - {"diversity"} & set(content["metrics"])


def test_features_of_different_image_sizes_are_cached_separately(digits):
    trained = [
        cast(Any, SimpleNamespace(dataset=data, model=None))
        for data in (digits, simulacra.load_data("digits", size=12, validation=0.4))
    ]
    contexts = [EvaluationContext(item, evaluation_settings({}), SILENT) for item in trained]
    contexts[1].extractor = contexts[0].extractor = loaded(digits)
    found = [context.real(context.split) for context in contexts]
    assert all(isinstance(item, Embedding) for item in found)
    assert not torch.equal(found[0].features, found[1].features)


def loaded(data):
    return EvaluationContext(
        cast(Any, SimpleNamespace(dataset=data, spec=data.spec, model=None)), evaluation_settings({}), SILENT
    ).extractor


# --- what is announced, and known, before anything is measured


@pytest.mark.long
def test_the_expected_time_comes_first_and_its_prediction_changes_no_number(model):
    expected = evaluate(model, **QUICK)["metrics"]
    shutil.rmtree(model.run.evaluations)
    progress = Messages()
    assert evaluate(model, progress, **QUICK)["metrics"] == expected
    assert re.fullmatch(r"expected time: about \d+ (s|min)( \d+ s)?", progress.lines[0])


@pytest.mark.long
def test_the_training_of_an_extractor_is_announced_before_it_begins(model, monkeypatch, tmp_path):
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        training, "recipe", lambda kind, count, overrides: classifier.recipe(kind, count, {**TINY, "duration": "3", **overrides})
    )
    monkeypatch.setattr(training, "_TIMED", 0.0)
    progress = Messages()
    evaluate(model, progress, metrics="diversity", samples=20)
    begins = [line.split(" ")[0] for line in progress.lines]
    assert begins[:3] == ["expected", "to", "training"]
    assert "to train the feature extractor lenet on digits, once" in progress.lines[0]


def test_too_few_images_are_known_before_an_extractor_is_trained(trained_vae, digits, tmp_path, monkeypatch):
    model = copied(trained_vae, replace(digits, test=digits.test[:60]), tmp_path)
    monkeypatch.setattr(context_module, "load_extractor", None)  # calling it would be an error
    metrics = "frechet_distance,kernel_distance,precision_recall,memorization,class_histogram"
    missing = evaluate(model, metrics=metrics)["not_applicable"]
    assert all("of 60 real images: at least" in why for why in missing.values())
    least = {name: int(re.findall(r"at least (\d+) are needed", why)[0]) for name, why in missing.items()}
    others = ("kernel_distance", "precision_recall", "memorization", "class_histogram")
    assert least == {"frechet_distance": 129, **dict.fromkeys(others, 100)}


def test_generated_images_that_are_not_finite_end_the_evaluation_and_are_not_classified(played, digits):
    with pytest.raises(NonFiniteError, match="generated images are not finite"):
        evaluate(played(digits.test.head(60).images, shake=float("nan")), samples=SAMPLES)


def test_images_per_call_follow_the_size_of_the_images_and_not_of_the_noise(model, monkeypatch):
    sizes: list[int] = []

    def recorded(device: torch.device, values: int, cpu: int) -> int:
        sizes.append(values)
        return cpu

    monkeypatch.setattr(context_module, "images_per_call", recorded)
    next(EvaluationContext(model, evaluation_settings({"samples": 8}), SILENT).images())
    assert sizes == [64]


@pytest.mark.parametrize(("split", "given", "expected"), [("test", -1, 1000), ("test", 50, 50), ("test", 0, 0)])
def test_the_number_of_samples_fits_the_images_to_compare_with(model, split, given, expected):
    assert EvaluationContext(model, evaluation_settings({"samples": given}), SILENT).settings.samples == expected


# --- settings


def test_settings_that_do_not_apply_to_a_model_are_an_error_that_names_the_flag(trained_vae, trained_autoencoder, capsys):
    for name, value in {"sampler": "ddim", "steps": 3, "guidance_scale": 2.0, "flow_images": 4, "cas": True}.items():
        with pytest.raises(NotApplicable, match=f"--{name.replace('_', '-')} "):
            trained_vae.evaluate(**{name: value})
    assert main(["evaluate", str(trained_autoencoder.run.path), "--particles", "3"]) == 2
    assert "--particles" in capsys.readouterr().err
    assert "particles" in settings_for(trained_vae.model)
    assert not {"sampler", "flow_images"} & {*settings_for(trained_vae.model)}
    assert settings_for(trained_autoencoder.model) == ("split", "metrics", "seed")


def test_a_setting_of_a_comparison_has_to_apply_to_one_of_the_models(trained_vae, trained_autoencoder):
    models = [trained_vae.model, trained_autoencoder.model]
    require_applicable_to_one(evaluation_settings({"particles": 3, "samples": 0}), models)
    with pytest.raises(NotApplicable, match="--sampler "):
        require_applicable_to_one(evaluation_settings({"sampler": "ddim"}), models)


def test_only_the_metrics_that_the_settings_name_are_measured(model, taken):
    found = evaluate(model, metrics="elbo, reconstruction")
    assert taken == ["reconstruction", "elbo"]
    assert found["not_applicable"] == {"ssim": found["not_applicable"]["ssim"]}
    with pytest.raises(UsageError, match="reconstruction"):
        evaluate(model, metrics="reconstructoin")


def test_latents_that_are_not_in_use_after_a_few_steps_are_no_posterior_collapse():
    unused = {"active_units": Measurement(0.0, None, 10, {"of": 16})}
    assert evaluation_warnings(unused, 64, 60) == []
    assert "posterior collapse" in evaluation_warnings(unused, 64, 5000)[0]
