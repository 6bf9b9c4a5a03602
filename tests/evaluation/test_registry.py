"""The registry of metrics: a metric is added by one file, and reaches every command and table without another edit."""

import json
import shutil

import pytest

from simulacra import metrics
from simulacra.core.config import options
from simulacra.core.errors import UsageError
from simulacra.evaluation.metric_table import newest
from simulacra.evaluation.sections import evaluation_sections
from simulacra.evaluation.settings import evaluate_config
from simulacra.interfaces.cli import main
from simulacra.metrics.metric import Quantity
from simulacra.runs.opened import open_run

TOY = '''
"""A toy metric: the mean of the test images, times a factor."""

from dataclasses import dataclass

from simulacra.core.capabilities import Reconstructs
from simulacra.core.config import Config, option
from simulacra.images.section import ReportSection
from simulacra.metrics.statistics.measurement import mean_of
from simulacra.metrics.metric import Metric, MetricResults, Quantity


@dataclass(frozen=True)
class ToyOptions(Config):
    """Options of the toy."""

    toy_factor: float = option(1.0, "factor of the toy metric")


def _measure(context):
    images = context.split.head(len(context.split)).images
    factor = context.options(ToyOptions).toy_factor
    measured = mean_of(factor * images.flatten(1).mean(1), {"factor": factor, "luck": context.opened.digest[:4]})
    return MetricResults({"toy_brightness": measured}, {}, {"first": images[0].mean().item()})


METRIC = Metric(
    name="toy",
    quantities=(Quantity("toy_brightness", "brightness of a toy", "larger", "The mean of the test images."),),
    needs=(Reconstructs,),
    order=15,
    cost=lambda context: "nothing",
    measure=_measure,
    settings=("toy_factor",),
    options=ToyOptions,
    details=frozenset({"luck"}),
    section=lambda opened, results: ReportSection("Toys", 5, tuple(map(str, results.artifacts.values()))),
)
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Add a metric by a file in another folder."""
    folder = tmp_path / "more_metrics"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(folder)])


@pytest.fixture
def runs(trained_vae, trained_autoencoder, tmp_path):
    """Copies of the runs of a VAE and an autoencoder."""
    folders = tmp_path / "vae", tmp_path / "autoencoder"
    for model, folder in zip((trained_vae, trained_autoencoder), folders, strict=True):
        shutil.copytree(model.run.path, folder, ignore=shutil.ignore_patterns("evaluation"))
    return [str(folder) for folder in folders]


def output(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_a_metric_is_added_by_one_file(toy, runs, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "--toy-factor" in capsys.readouterr().out
    quick = ["--metrics", "toy,reconstruction", "--toy-factor", "2"]
    found = json.loads(output(capsys, "evaluate", runs[0], *quick, "--json"))
    assert list(found["metrics"]) == ["mse", "psnr_db", "toy_brightness"]
    assert found["metrics"]["toy_brightness"]["protocol"]["factor"] == 2
    run = open_run(runs[0])
    evaluation = newest(run.run)
    assert evaluation is not None
    assert evaluation.numbers[-1].title == "brightness of a toy"
    sections = evaluation_sections(run, evaluation)
    assert sections[0].title == "Toys"
    assert sections[0].text == (str(found["artifacts"]["toy"]["first"]),)
    ranked = json.loads(output(capsys, "compare", *runs, *quick, "--json"))["metrics"]["toy_brightness"]
    assert ranked["better"] == "larger"
    assert [place["rank"] for place in ranked["places"]] == [1, 1]  # of equal images; `luck` differs and is a detail


def test_results_of_a_metric_are_cached_by_its_own_options(toy, runs, capsys):
    for factor, cached in (("1", False), ("1", True), ("3", False)):
        main(["evaluate", runs[0], "--metrics", "toy", "--toy-factor", factor])
        assert ("cached: toy" in capsys.readouterr().err) == cached


def test_the_metric_is_gone_without_its_file():
    assert "toy" not in {metric.name for metric in metrics.registered()}
    assert "toy_factor" not in {item.name for item in options(evaluate_config())}
    assert metrics.quantity("toy_brightness").title == "toy brightness"


def test_metrics_have_the_names_of_their_files_and_describe_each_number_once():
    described: dict[str, Quantity] = {}
    for metric in metrics.registered():
        assert metrics.find(metric.name) is metric
        assert (metric.measure.__module__ or "").rpartition(".")[2] == metric.name
        assert set(vars(evaluate_config()())) >= set(metric.settings)
        for item in metric.quantities:
            assert described.setdefault(item.name, item) == item
            assert item.title
            assert item.meaning
    with pytest.raises(UsageError, match="elbo"):
        metrics.find("ebo")


def test_every_number_of_the_stable_json_names_is_described():
    names = """negative_elbo_nats rate_nats distortion_nats nll_nats bits_per_dim active_units mse psnr_db ssim frechet_distance
    frechet_floor kernel_distance precision recall density coverage cas_accuracy modes_covered class_kl label_agreement
    nearest_train_ratio knn_accuracy probe_accuracy interval_coverage interval_width restoration_psnr_db"""
    assert set(names.split()) <= set(metrics.quantities())
