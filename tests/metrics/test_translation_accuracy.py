"""Metrics of translation on data: known answers, accuracy, and cases that do not apply."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import simulacra
from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import Translates
from simulacra.core.condition import UNCONDITIONAL
from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import SILENT
from simulacra.data.dataset import Dataset, combine, to_floats
from simulacra.data.load import load
from simulacra.data.settings import DataConfig, DomainsConfig
from simulacra.evaluation.settings import evaluation_settings
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.interfaces.cli import main
from simulacra.metrics import registered
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.statistics.image_similarity import BEST
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.translations import translation_accuracy


class Inverter(torch.nn.Module, Translates):
    """A perfect translator between images and their negatives."""

    domains = ("a", "b")

    def translate(self, images, to, condition=UNCONDITIONAL):
        return 1 - images


class Neighbour:
    """A classifier by the nearest training image."""

    name, label, network = "neighbour", "Neighbour sha256:0", SimpleNamespace(title="Neighbour", rule=lambda: "as it is")

    def __init__(self, data, digest="0"):
        self.classes, self.digest, self.trained_on = data.spec.classes, digest, len(data.train)
        self.images = to_floats(torch.from_numpy(np.array(data.train.images))).flatten(1)
        self.labels = torch.from_numpy(np.array(data.train.labels))

    def predictions(self, images):
        return self.labels[torch.cdist(images.flatten(1), self.images).argmin(1)]


@pytest.fixture
def named(monkeypatch):
    """Return a function from names of data sets to a context whose model inverts, with classifiers that need no training."""
    monkeypatch.setattr(EvaluationContext, "load_extractor", lambda context, name, data: Neighbour(data))
    return lambda *names, **settings: context_of(tuple(load(DataConfig(data=name)) for name in names), **settings)


def context_of(data: tuple[Dataset, ...], *, disjoint=False, **settings) -> EvaluationContext:
    dataset = combine(dict(zip("ab", data, strict=True)))
    config = SimpleNamespace(data=DomainsConfig(a=data[0].name, b=data[1].name, disjoint=disjoint))
    trained = SimpleNamespace(model=Inverter(), dataset=dataset, spec=dataset.spec, run=SimpleNamespace(config=config))
    return EvaluationContext(cast(Any, trained), evaluation_settings(settings, "the test"), SILENT)


def taken(context: EvaluationContext) -> tuple[dict[str, Measurement], dict[str, str]]:
    metrics: dict[str, Measurement] = {}
    missing: dict[str, str] = {}
    with inference_mode(context.model):
        for metric in registered():
            if metric.needs == (Translates,):
                found = metric.measure(context)
                metrics |= found.measurements
                missing |= found.missing
    return metrics, missing


@pytest.mark.parametrize(("names", "original"), [(("digits", "digits-inverted"), "a"), (("digits-inverted", "digits"), "b")])
def test_for_a_known_transform_answers_are_known_in_both_directions_and_accuracy_is_measured_in_the_original(
    named, names, original
):
    metrics, missing = taken(named(*names))
    assert not missing
    assert {name for name in metrics if "accuracy" in name} == {
        *(f"translation_accuracy_to_{original}", f"untranslated_accuracy_to_{original}")
    }
    for domain in "ab":
        assert metrics[f"translation_psnr_db_to_{domain}"].value == BEST
        assert metrics[f"untranslated_psnr_db_to_{domain}"].value < 5
        assert metrics[f"cycle_mse_{domain}"].value == pytest.approx(0, abs=1e-12)
    accuracy = metrics[f"translation_accuracy_to_{original}"]
    assert accuracy.value == accuracy.protocol["real_against_real"] > 0.9
    assert metrics[f"untranslated_accuracy_to_{original}"].value < 0.5
    assert (accuracy.protocol["classifier_name"], accuracy.n) == ("neighbour", 297)
    assert not evaluation_warnings(metrics, 64)


def test_without_known_answers_accuracy_is_measured_in_both_directions(named):
    digits, negatives = (load(DataConfig(data=name)) for name in ("digits", "digits-inverted"))
    metrics, missing = taken(context_of((digits, replace(negatives, name="strangers"))))
    assert set(missing) == {"translation_psnr_db_to_a", "translation_psnr_db_to_b"}
    assert metrics["translation_accuracy_to_a"].value == metrics["translation_accuracy_to_b"].value > 0.9
    assert {"cycle_mse_a", "cycle_mse_b"} < set(metrics)


def test_translations_of_validation_images_are_measured_on_request(named):
    metrics, missing = taken(named("digits", "digits-inverted", split="validation"))
    assert not missing
    assert {item.n for item in metrics.values()} == {125}
    assert metrics["translation_psnr_db_to_a"].value == BEST


def test_accuracy_does_not_apply_to_domains_without_common_classes(named):
    digits = load(DataConfig(data="digits"))
    unlabelled = replace(digits, spec=DataSpec(1, 8, 8), test=replace(digits.test, labels=None))
    letters = replace(digits, name="letters", spec=DataSpec(1, 8, 8, tuple("abcdefghij")))
    for other, reason in ((unlabelled, "both domains"), (letters, "digits and letters")):
        context = context_of((digits, other))
        assert reason in translation_accuracy.METRIC.not_applicable(context)
        assert not translation_accuracy.classifiers(context)


def test_classifiers_are_trained_on_all_images_of_disjoint_domains(named):
    whole = load(DomainsConfig(a="digits", b="digits-inverted"))
    halves = load(DomainsConfig(a="digits", b="digits-inverted", disjoint=True))
    rows = [halves["a"].train.images, 255 - halves["b"].train.images]
    assert np.array_equal(np.concatenate(rows), whole["a"].train.images)
    assert [len(split) for split in halves["a"].splits] == [687, 125, 297]
    assert halves.digest == whole.digest
    context = context_of((halves["a"], halves["b"]), disjoint=True)
    assert [cast(Any, classifier).trained_on for classifier in translation_accuracy.classifiers(context)] == [1375]


def test_a_translation_that_is_significantly_worse_than_none_is_a_warning():
    def measured(value):
        return Measurement(value, 0.1, 100)

    found = {"translation_psnr_db_to_b": measured(3.0), "untranslated_psnr_db_to_b": measured(4.0)}
    (warning,) = evaluation_warnings(found, 64)
    assert warning.startswith("idle translation: ")
    assert not evaluation_warnings({**found, "translation_psnr_db_to_b": measured(3.7)}, 64)


@pytest.mark.long
def test_evaluate_measures_a_run_and_uses_cached_results_the_second_time(tmp_path, capsys):
    small: dict[str, Any] = {"features": 4, "blocks": 1, "downsamplings": 1, "discriminator_features": 4}
    quick: dict[str, Any] = {"duration": "2", "batch": 4, "threads": 1, "snapshots": 1}
    run = tmp_path / "run"
    simulacra.train("cyclegan", a="digits", b="digits-coloured", disjoint=True, out=run, **small, **quick)
    for time in ("first", "second"):
        assert main(["evaluate", str(run), "--extractor", "none", "--json"]) == 0
        shown = capsys.readouterr()
        content = json.loads(shown.out)
        assert set(content["metrics"]) == {f"{name}_{to}" for name in ("translation_psnr_db_to", "cycle_mse") for to in "ab"}
        assert content["metrics"]["cycle_mse_b"]["protocol"]["way"] == "b to a to b"
        assert "--extractor none" in content["not_applicable"]["translation_accuracy"]
        assert ("cached: translation" in shown.err) == (time == "second")
