"""Comparison of runs: ranks by significant differences, ties, differing protocols; then the command, the table, the page."""

import csv
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

import simulacra
from simulacra.core.errors import UsageError
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import TrainConfig
from simulacra.evaluation.compare import labels
from simulacra.evaluation.differences import difference
from simulacra.evaluation.ranking import Ranking, compare, refusals
from simulacra.evaluation.repeats import repeats_of
from simulacra.families.vae import VAE
from simulacra.interfaces.cli import main
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.runs.settings import RunConfig


def made(value: float, error: float | None = None, *, interval=None, n: int = 100, metric: str = "nll_nats", **protocol) -> Any:
    """The result of `evaluate`, with one number."""
    return {
        "data": {"name": "digits", "digest": "a763bf64" + 56 * "0", "shape": [8, 8, 1], "split": "test", "n": 100},
        "metrics": {metric: Measurement(value, error, n, protocol, interval).table()},
    }


def with_data(result=None, **facts):
    result = result or made(1.0)
    return {**result, "data": {**result["data"], **facts}}


def on_data(result, name, digest):
    return with_data(result, name=name, digest=digest)


def only(results) -> Ranking:
    (ranking,) = compare(results)
    return ranking


def ranks(results) -> dict[str, int | None]:
    return {place.run: place.rank for place in only(results).places}


# --- ranks


def test_numbers_further_apart_than_both_intervals_are_ranked_smallest_first():
    assert ranks({"b": made(20.0, 1.0), "a": made(10.0, 1.0), "c": made(30.0, 1.0)}) == {"a": 1, "b": 2, "c": 3}


def test_where_larger_is_better_the_largest_is_first():
    results = {name: made(value, 0.1, metric="psnr_db") for name, value in (("a", 10.0), ("b", 20.0))}
    assert [place.run for place in only(results).places] == ["b", "a"]


def test_ranks_do_not_depend_on_the_order_of_the_runs():
    results = {"a": made(1.0, 0.4), "b": made(2.0, 0.4), "c": made(3.0, 0.4), "d": made(3.0, 0.4)}
    assert ranks(results) == ranks(dict(reversed(results.items())))


@pytest.mark.parametrize("errors", [(1.0, 1.0), (0.3, 2.0), (0.0, 1.0)])
def test_the_boundary_between_a_tie_and_a_difference_is_the_test_of_two_normal_means(errors):
    reach = 1.959964 * math.hypot(*errors)
    assert ranks({"a": made(0.0, errors[0]), "b": made(reach * 1.001, errors[1])}) == {"a": 1, "b": 2}
    assert ranks({"a": made(0.0, errors[0]), "b": made(reach * 0.999, errors[1])}) == {"a": 1, "b": 1}


def apart(first: Measurement, second: Measurement) -> bool:
    return difference(("a", "b"), first, second).p_value < 0.05


def test_of_intervals_that_are_not_symmetric_the_sides_that_face_each_other_count():
    low = Measurement(10.0, None, 9, interval=(0.0, 11.0))
    high = Measurement(12.0, None, 9, interval=(11.0, 30.0))
    assert apart(low, high)  # sqrt(1 + 1) < 2
    assert apart(high, low)
    mirrored = Measurement(10.0, None, 9, interval=(9.0, 20.0)), Measurement(12.0, None, 9, interval=(1.0, 13.0))
    assert not apart(*mirrored)


def test_an_interval_that_leaves_out_its_value_does_not_stretch_the_difference():
    odd = Measurement(1.0, None, 9, interval=(0.2, 0.9))  # as a bootstrap may give it
    assert apart(odd, Measurement(1.1, None, 9, interval=(1.05, 1.2)))


def with_scores(name: str, scores: torch.Tensor) -> Any:
    return {"data": made(0.0)["data"], "metrics": {name: mean_of(scores, {}).table()}}


def test_differences_over_the_same_images_are_paired():
    # images differ by 1, the models by 0.05 on each with a deviation of 0.1: paired z = 5, unpaired z = 0.35
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(100, generator=generator)
    scores = {"a": first, "b": first + 0.05 + 0.1 * torch.randn(100, generator=generator)}
    results = {run: with_scores("mse", values) for run, values in scores.items()}
    assert ranks(results) == {"a": 1, "b": 1}
    (ranking,) = compare(results, {run: {"mse": values} for run, values in scores.items()})
    assert [(place.run, place.rank) for place in ranking.places] == [("a", 1), ("b", 2)]
    (pair,) = ranking.differences
    found = scipy.stats.ttest_rel(scores["a"], scores["b"])
    assert pair.paired
    assert pair.p_value == pytest.approx(found.pvalue, rel=1e-4)
    assert pair.interval[0] < -0.05 < pair.interval[1] < 0


@pytest.mark.long
@pytest.mark.parametrize("paired", [True, False])
def test_equal_models_are_told_apart_in_five_percent_of_comparisons_at_most(paired):
    # 400 comparisons of three equal models by four metrics: 5 % of them have a standard deviation of 1.1 %, and without the
    # correction 12 tests find something in 46 %; with independent errors for paired values, less than 5 %
    generator, alarms = torch.Generator().manual_seed(1), 0
    names = ("mse", "psnr_db", "ssim", "nll_nats")
    for _ in range(400):
        difficulty = torch.randn(100, generator=generator) if paired else 0.0
        scores = {run: {name: difficulty + torch.randn(100, generator=generator) for name in names} for run in "abc"}
        results = {
            run: {**made(0.0), "metrics": {name: mean_of(values, {}).table() for name, values in own.items()}}
            for run, own in scores.items()
        }
        rankings = compare(results, scores if paired else None)
        alarms += any(pair.significant for ranking in rankings for pair in ranking.differences)
    assert alarms <= 0.05 * 400 + 5 * 4.4


def test_a_single_test_finds_a_difference_between_equal_models_in_five_percent_of_cases():
    generator = torch.Generator().manual_seed(2)
    pairs = (torch.randn(2, 100, generator=generator) + torch.randn(100, generator=generator) for _ in range(2000))
    found = [difference(("a", "b"), mean_of(first, {}), mean_of(second, {})).p_value < 0.05 for first, second in pairs]
    assert sum(found) == pytest.approx(100, abs=5 * 9.7)


def test_a_paired_test_of_three_images_finds_a_difference_between_equal_models_in_five_percent_of_cases():
    generator = torch.Generator().manual_seed(3)
    pairs = torch.randn(2000, 2, 3, generator=generator)  # by the normal distribution: 19 %
    found = [difference(("a", "b"), mean_of(first, {}), mean_of(second, {})) for first, second in pairs]
    assert sum(pair.p_value < 0.05 for pair in found) == pytest.approx(100, abs=5 * 9.7)
    assert sum(not pair.interval[0] < 0 < pair.interval[1] for pair in found) == sum(pair.p_value < 0.05 for pair in found)


def test_numbers_of_a_single_image_are_not_ranked():
    scores = {"a": torch.tensor([0.1]), "b": torch.tensor([0.2])}
    results = {run: with_scores("mse", values) for run, values in scores.items()}
    assert results["a"]["metrics"]["mse"]["standard_error"] is None
    (ranking,) = compare(results, {run: {"mse": values} for run, values in scores.items()})
    assert [place.rank for place in ranking.places] == [None, None]
    assert not ranking.refused


def test_ties_share_a_rank_and_name_each_other():
    found = only({"a": made(1.0, 1.0), "b": made(1.5, 1.0), "c": made(9.0, 1.0)})
    assert [(place.run, place.rank, place.ties) for place in found.places] == [("a", 1, ("b",)), ("b", 1, ("a",)), ("c", 3, ())]


def test_ties_that_are_not_transitive_leave_the_last_behind_the_first_alone():
    found = only({"a": made(0.0, 1.0), "b": made(2.0, 1.0), "c": made(4.0, 1.0)})
    assert [(place.run, place.rank, place.ties) for place in found.places] == [
        ("a", 1, ("b",)),
        ("b", 1, ("a", "c")),
        ("c", 2, ("b",)),
    ]


def test_equal_numbers_without_any_error_tie_and_unequal_ones_do_not():
    results = {name: made(value, metric="modes_covered", of=10) for name, value in (("a", 9), ("b", 10), ("c", 10))}
    found = only(results)
    assert found.exact
    assert ranks(results) == {"b": 1, "c": 1, "a": 3}
    assert not only({"a": made(1.0, 0.1), "b": made(2.0, 0.1)}).exact


def test_a_count_beside_a_number_with_an_error_is_taken_for_exact():
    assert ranks({"a": made(10.0), "b": made(11.0, 1.0)}) == {"a": 1, "b": 1}
    assert ranks({"a": made(10.0), "b": made(12.0, 1.0)}) == {"a": 1, "b": 2}


def test_a_metric_without_a_better_is_shown_in_the_order_of_the_runs_and_not_ranked():
    found = only({"b": made(20.0, 1.0, metric="rate_nats"), "a": made(10.0, 1.0, metric="rate_nats")})
    assert [(place.run, place.rank) for place in found.places] == [("b", None), ("a", None)]
    assert not found.ranked
    assert not found.refused


def test_a_number_that_one_run_alone_has_is_not_called_the_best():
    found = only({"a": made(1.0, 0.1), "b": {**made(0.0), "metrics": {}}})
    assert [place.rank for place in found.places] == [None]
    assert found.of("b") is None


def test_metrics_have_the_order_of_tables_and_unknown_ones_come_last():
    result = made(1.0)
    numbers = ("zeal", "mse", "art", "nll_nats", "frechet_distance")
    result["metrics"] = {name: Measurement(1.0, 0.1, 9).table() for name in numbers}
    names = [ranking.metric for ranking in compare({"a": result, "b": result})]
    assert names == ["mse", "frechet_distance", "nll_nats", "art", "zeal"]


# --- refusals


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (made(1.0, n=200), "n (100: a / 200: b)"),
        (made(1.0, importance_samples=5000), "importance samples (not stated: a / 5,000: b)"),
        (on_data(made(1.0), "mnist", "ff" * 32), "data (digits a763bf64: a / mnist ffffffff: b)"),
        (on_data(made(1.0), "digits", "ff" * 32), "data (digits a763bf64: a / digits ffffffff: b)"),
        (with_data(split="validation"), "split (test: a / validation: b)"),
        (with_data(shape=[12, 12, 1]), "height x width x channels (8x8x1: a / 12x12x1: b)"),
    ],
)
def test_numbers_measured_differently_are_not_ranked_and_the_difference_is_named(other, words):
    found = only({"a": made(1.0), "b": other})
    assert found.refused == f"measured differently: {words}"
    assert not found.ranked
    assert [place.run for place in found.places] == ["a", "b"]


def test_every_difference_is_named_with_the_runs_on_either_side():
    results = {"a": made(1.0, particles=50, seed=0), "b": made(1.0, particles=50, seed=1), "c": made(1.0, particles=500, seed=0)}
    found = only(results)
    assert found.differs == {
        "particles": {"50": ("a", "b"), "500": ("c",)},
        "seed": {"0": ("a", "c"), "1": ("b",)},
    }
    assert found.refused == "measured differently: particles (50: a, b / 500: c); seed (0: a, c / 1: b)"


def seen_through(name: str, seed: int, digest: str) -> Any:
    return made(
        1.0, 0.1, metric="frechet_distance", extractor=f"LeNet-128 sha256:{digest}", extractor_name=name, extractor_seed=seed,
        extractor_sha256=digest * 8,
    )  # fmt: skip


def test_extractors_are_told_apart_by_their_weights_and_named_by_their_seed():
    found = only({"a": seen_through("lenet", 0, "aaaaaaaa"), "b": seen_through("lenet", 1, "bbbbbbbb")})
    assert list(found.differs["extractor"]) == [
        "lenet, seed 0, LeNet-128 sha256:aaaaaaaa",
        "lenet, seed 1, LeNet-128 sha256:bbbbbbbb",
    ]
    assert only({"a": seen_through("lenet", 0, "aaaaaaaa"), "b": seen_through("lenet:digits", 7, "aaaaaaaa")}).ranked


def test_details_of_a_protocol_need_not_be_equal():
    results = {
        "a": made(1.0, 0.1, metric="frechet_distance", bias=0.3, few_samples="1 of 2"),
        "b": made(2.0, 0.1, metric="frechet_distance", bias=0.4),
    }
    assert ranks(results) == {"a": 1, "b": 2}


def test_a_name_of_equal_data_does_not_matter():
    assert only({"a": made(1.0), "b": on_data(made(1.0), "copy", made(1.0)["data"]["digest"])}).ranked


def test_where_the_data_differ_nothing_else_is_told_since_it_follows_from_them():
    results = {"a": made(1.0, k=50), "b": on_data(made(1.0, n=9, k=5), "mnist", "ff" * 32)}
    assert list(only(results).differs) == ["data"]
    assert refusals(compare(results)) == {"measured differently: data (digits a763bf64: a / mnist ffffffff: b)": ["nll_nats"]}


def test_only_the_metric_that_differs_is_refused():
    first, second = made(1.0, 0.1, k=50), made(2.0, 0.1, k=500)
    for result in (first, second):
        result["metrics"]["mse"] = Measurement(0.1, 0.01, 100).table()
    assert {ranking.metric: bool(ranking.refused) for ranking in compare({"a": first, "b": second})} == {
        "nll_nats": True,
        "mse": False,
    }


# --- names


def test_runs_of_the_same_name_are_told_apart_by_the_folders_above():
    assert labels([Path("x/a/run"), Path("x/b/run"), Path("y/b/run"), Path("z")]) == ["a/run", "x/b/run", "y/b/run", "z"]


def test_a_run_that_is_given_twice_is_refused_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"\./run is given twice|run is given twice"):
        labels([Path("run"), tmp_path / "other" / ".." / "run"])


# --- the command


SETTINGS = ["--samples", "0", "--particles", "2", "--metrics", "reconstruction,active_units,elbo,nll"]


def run(capsys, *words):
    code = main(["compare", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def runs(trained_vae, trained_autoencoder, tmp_path):
    """Folders of a VAE, of its copy under the same name, and of an autoencoder."""
    places = tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "plain"
    for model, place in zip((trained_vae, trained_vae, trained_autoencoder), places, strict=True):
        shutil.copytree(model.run.path, place, ignore=shutil.ignore_patterns("evaluation"))
    return places


def test_the_table_ranks_marks_ties_and_says_what_is_missing(capsys, runs):
    code, out, _ = run(capsys, *runs, *SETTINGS)
    assert code == 0
    assert max(len(line) for line in out.splitlines() if not line.startswith("next:")) <= 100
    assert re.search(r"^A  a/run: vae at step 63, [\d,]+ parameters, on the 297 test images of digits$", out, re.MULTILINE)
    assert re.search(r"^nll_nats +\*1= ([\d.]+).* \*1= \1.* -$", out, re.MULTILINE)
    assert re.search(r"^mse ", out, re.MULTILINE)
    assert "neither better nor worse: active_units, rate_nats, distortion_nats" in out
    assert re.search(r"not measured in C: .*nll", " ".join(out.split()))


def test_five_runs_fit_on_a_terminal_with_errors_in_lines_of_their_own(capsys, runs, tmp_path):
    more = [shutil.copytree(runs[0], tmp_path / name) for name in ("c", "d")]
    code, out, _ = run(capsys, *runs, *more, *SETTINGS)
    assert code == 0
    assert max(len(line) for line in out.splitlines() if not line.startswith("next:")) <= 100
    value, error = re.search(r"^mse +([^\n]+)\n +([^\n]+)$", out, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert len(re.findall(r"[\d.]{5,}", value)) == 5
    assert error.count("+-") == 5


def test_json_and_csv_hold_the_same_numbers(capsys, runs, tmp_path):
    code, out, _ = run(capsys, *runs, *SETTINGS, "--json", "--csv", tmp_path / "new" / "numbers.csv")
    assert code == 0
    content = json.loads(out)
    assert list(content["runs"]) == ["a/run", "b/run", "plain"]
    places = {(metric, place["run"]): place for metric, ranking in content["metrics"].items() for place in ranking["places"]}
    with (tmp_path / "new" / "numbers.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {(line["metric"], line["run"]) for line in lines} == set(places)
    for line in lines:
        place = places[line["metric"], line["run"]]
        assert float(line["value"]) == place["value"]
        assert line["rank"] == ("" if place["rank"] is None else str(place["rank"]))
        assert line["ties"].split() == place["ties"]
    assert places["nll_nats", "a/run"]["ties"] == ["b/run"]
    assert content["repeats"] == []  # equal seeds are no repetition
    pairs = [item for item in content["metrics"]["mse"]["differences"] if "plain" in item["runs"]]
    assert [item["paired"] for item in pairs] == [True, True]


def test_the_values_of_single_images_are_stored_beside_the_evaluation_and_in_the_cache(runs):
    found = [simulacra.open(runs[0]).evaluate(samples=0, particles=2, metrics="reconstruction") for _ in range(2)]
    for result in found:
        scores = np.load(runs[0] / "evaluation" / result["scores"])
        assert scores["mse"].dtype == np.float32
        assert scores["mse"].shape == (297,)
        assert scores["mse"].mean() == pytest.approx(result["metrics"]["mse"]["value"], rel=1e-6)


def test_runs_that_differ_in_the_seed_alone_have_a_mean_and_a_spread():
    first = RunConfig("vae", DataConfig(), VAE.Config(), TrainConfig(seed=0))
    second, other = replace(first, train=TrainConfig(seed=1)), replace(first, train=TrainConfig(seed=2, batch=7))
    rankings = compare({"a": made(1.0, 0.1), "b": made(3.0, 0.1), "c": made(9.0, 0.1)})
    (repeats,) = repeats_of({"a": first, "b": second, "c": other}, rankings)
    assert repeats.runs == ("a", "b")
    assert repeats.spread["nll_nats"] == pytest.approx((2.0, math.sqrt(2)))


@pytest.mark.parametrize(("patience", "groups"), [(0, 1), (3, 0)])
def test_runs_that_validate_at_other_steps_are_repetitions_without_early_stopping_only(patience, groups):
    trained = [TrainConfig(seed=seed, snapshots=10 + seed, patience=patience) for seed in (0, 1)]
    configs = {name: RunConfig("vae", DataConfig(), VAE.Config(), config) for name, config in zip("ab", trained, strict=True)}
    assert len(repeats_of(configs, compare({"a": made(1.0, 0.1), "b": made(3.0, 0.1)}))) == groups


@pytest.mark.parametrize(("count", "words"), [(1, "a/run"), (0, "RUN")])
def test_a_comparison_of_fewer_than_two_runs_is_an_error(capsys, runs, count, words):
    code, _, err = run(capsys, *runs[:count])
    assert code == 2
    assert words in err


def test_a_run_that_is_not_there_is_named_before_anything_is_measured(capsys, runs, tmp_path):
    code, _, err = run(capsys, runs[0], tmp_path / "nowhere", *SETTINGS)
    assert code == 2
    assert f"{tmp_path / 'nowhere'} is not a run folder: it does not exist" in err
    assert not list((runs[0] / "evaluation").glob("*"))


def test_python_takes_folders_and_open_models_and_gives_what_json_prints(capsys, runs):
    found = simulacra.compare([runs[0], simulacra.open(runs[2])], samples=0, particles=2, metrics=SETTINGS[-1])
    _, out, _ = run(capsys, runs[0], runs[2], *SETTINGS, "--json")
    assert found["metrics"] == json.loads(out)["metrics"]
    with pytest.raises(UsageError, match="none"):
        simulacra.compare([])


# --- the page


def test_the_page_shows_samples_side_by_side_and_refers_to_nothing_outside(capsys, runs, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, *runs, *SETTINGS, "--html", page)
    assert code == 0
    assert f"written: {page}" in " ".join(out.split())
    text = page.read_text()
    assert len(text) < 3e6
    assert not re.search(r"https?://|file://|url\(|@import|<script", text)
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)" width="(\d+)" height="(\d+)" alt="([^"]+)"', text)
    assert [alt for *_, alt in pictures] == [
        "Real test images of digits",
        "Generated by a/run",
        "Generated by b/run",
        "Real test images of digits",
        "Reconstructed by a/run",
        "Reconstructed by b/run",
        "Reconstructed by plain",
    ]
    assert pictures[1][0] == pictures[2][0] != pictures[0][0]
    assert len({size[1:3] for size in pictures[:3]}) == 1
    assert "Autoencoder does not sample" in text


@pytest.mark.long
def test_runs_on_images_of_different_sizes_which_share_a_digest_are_shown_and_not_ranked(capsys, runs, tmp_path):
    settings: dict[str, Any] = {"duration": "5", "batch": 16, "features": (4, 4), "hidden": (8,), "latent_dim": 3, "threads": 1}
    simulacra.train("vae", data="digits", size=12, out=tmp_path / "other", **settings)
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, runs[0], tmp_path / "other", *SETTINGS, "--html", page)
    assert code == 0
    assert "*1" not in out
    assert "measured differently: height x width x channels (8x8x1: run / 12x12x1: other)" in " ".join(out.split())
    assert page.read_text().count("Real test images of digits") == 4
    assert "The runs were trained on different data" in page.read_text()


def test_hostile_names_are_shown_as_text(runs, tmp_path):
    evil = shutil.copytree(runs[0], tmp_path / "<script>alert(1)<|script>")
    simulacra.compare([evil, runs[1]], html=tmp_path / "page.html", samples=0, particles=2)
    text = (tmp_path / "page.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
