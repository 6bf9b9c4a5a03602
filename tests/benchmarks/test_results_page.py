"""The page of results: which runs are one row, what its numbers are, and what of a page stays."""

import json
import math
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from benchmarks.results_page import BEGIN, END, across, follows, grouped, results
from PIL import Image

import simulacra
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.files import write_json
from simulacra.core.progress import SILENT
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.settings import evaluation_settings
from simulacra.runs.opened import open_run

QUICK = evaluation_settings({"samples": 0, "particles": 2})
SETTINGS: dict[str, Any] = {
    "duration": "1ep", "batch": 64, "snapshots": 1, "threads": 1, "network": "dense", "latent_dim": 3, "hidden": (16,),
}  # fmt: skip


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, cache):
    """Three runs that differ in the seed alone, in folders whose names end with it; do not change them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        folder = tmp_path_factory.mktemp("seeds")
        return [simulacra.train("vae", data="digits", out=folder / f"small-{seed}", seed=seed, **SETTINGS) for seed in (2, 0, 1)]


@pytest.fixture
def recipes(tmp_path, seeds):
    """A folder with one recipe, which the runs follow but for the seed and the threads."""
    model = {"network": "dense", "latent_dim": 3, "hidden": [16]}
    train = {"duration": "1ep", "batch": 64, "snapshots": 1, "threads": 2}
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "tiny.toml").write_text(
        tomli_w.dumps({"family": "vae", "data": {"data": "digits"}, "model": model, "train": train})
    )
    return folder


@pytest.fixture
def page(tmp_path):
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    return tmp_path / "docs" / "reference" / "results.md"


def made(runs, page, recipes):
    return results(runs, page, recipes, QUICK, SILENT)


# --- rows


def test_runs_that_differ_in_the_seed_alone_are_one_row_in_the_order_of_seeds(seeds, trained_autoencoder, recipes):
    rows = grouped([*seeds, trained_autoencoder], recipes)
    assert list(rows) == ["tiny", "autoencoder"]
    assert [trained.run.config.train.seed for trained in rows["tiny"]] == [0, 1, 2]


def test_without_its_recipe_a_row_has_the_name_of_the_folder_less_the_seed(seeds, tmp_path):
    assert list(grouped(seeds, tmp_path / "none")) == ["small"]


def test_a_recipe_is_followed_whatever_the_seed_and_the_machine_and_nothing_else(seeds, recipes):
    config, path = seeds[0].run.config, recipes / "tiny.toml"
    assert follows(config, path)
    path.write_text(path.read_text().replace("latent_dim = 3", "latent_dim = 4"))
    assert not follows(config, path)
    path.write_text('family = "autoencoder"')
    assert not follows(config, path)


def test_one_run_given_twice_is_refused(seeds, recipes):
    with pytest.raises(UsageError, match=r"several runs of one seed \(\[0, 0\]\)"):
        grouped([seeds[1], seeds[1]], recipes)


def test_two_rows_of_one_name_are_refused(seeds, trained_vae, tmp_path):
    twin = tmp_path / "small-7"
    shutil.copytree(trained_vae.run.path, twin)
    with pytest.raises(UsageError, match="two rows are called 'small'"):
        grouped([*seeds, open_run(twin)], tmp_path)


def test_a_run_that_is_not_finished_is_refused(seeds, recipes, tmp_path):
    halted = tmp_path / "halted"
    shutil.copytree(seeds[0].run.path, halted)
    provenance = json.loads((halted / "provenance.json").read_text())
    (halted / "provenance.json").write_text(json.dumps({**provenance, "finished": False}))
    with pytest.raises(UsageError, match="is not finished: go on with `simulacra resume"):
        grouped([open_run(halted)], recipes)


def test_numbers_of_validation_images_are_refused(seeds, recipes, page):
    with pytest.raises(UsageError, match="results are of test images, and --split is validation"):
        results(seeds, page, recipes, evaluation_settings({"split": "validation"}), SILENT)
    assert not page.exists()


# --- numbers


def number(value, **more):
    return {"value": value, "standard_error": 0.5, "n": 100, "protocol": {"k": 5}, **more}


def test_of_several_seeds_stand_the_mean_and_the_standard_deviation():
    found = across([{"mse": number(value)} for value in (1.0, 2.0, 4.0)])
    assert found["mse"]["value"] == pytest.approx(7 / 3)
    assert found["mse"]["standard_deviation"] == pytest.approx(math.sqrt(7 / 3))
    assert (found["mse"]["seeds"], found["mse"]["n"], found["mse"]["protocol"]) == (3, 100, {"k": 5})
    assert "standard_error" not in found["mse"]


def test_of_one_seed_stand_its_own_errors():
    item = number(0.9, interval=[0.8, 1.0])
    assert across([{"precision": item}]) == {"precision": item}


def test_a_number_that_one_seed_lacks_is_left_out():
    assert list(across([{"mse": number(1.0), "ssim": number(1.0)}, {"mse": number(2.0)}])) == ["mse"]


# --- the page


def test_a_row_says_what_was_measured_how_and_what_it_took(seeds, page, recipes):
    (row,) = made(seeds, page, recipes)
    text = page.read_text()
    own = [evaluate(trained, QUICK, SILENT)["metrics"]["mse"]["value"] for trained in seeds]
    assert row["metrics"]["mse"]["value"] == pytest.approx(sum(own) / 3)
    assert row["seeds"] == [0, 1, 2]
    assert "| [tiny](../../recipes/tiny.toml) | digits | 3 |" in text
    assert "mean squared error ↓" in text
    assert "a number is their mean ± their standard deviation" in text
    assert "standard error over images" not in text
    assert f"{row['parameters']:,}" in text
    assert ", 1 thread |" in text
    assert "seeds 0, 1, 2;" in text
    assert "importance samples 2" in text
    with Image.open(page.parent / row["picture"]) as picture:
        assert picture.width < 1100
    assert f"({row['picture']})" in text


def test_one_seed_has_errors_over_images(seeds, page, recipes):
    made(seeds[:1], page, recipes)
    text = page.read_text()
    assert "its standard error" in text
    assert "standard deviation" not in text


def test_translations_stand_in_a_table_of_their_own(seeds, page, recipes):
    (held,) = made(seeds[:1], page, recipes)
    errors = {"cycle_mse_a": {**held["metrics"]["mse"], "value": 0.5}}
    write_json(page.with_suffix(".json"), [held, {**held, "name": "translator", "metrics": errors}])
    made(seeds[:1], page, recipes)
    heads = [line for line in page.read_text().splitlines() if line.startswith("| recipe")]
    assert ["cycle a to b to a" in head for head in heads] == [False, True]


def test_a_row_without_a_number_is_named_below_the_tables(seeds, page, recipes):
    made(seeds, page, recipes)
    rows = json.loads(page.with_suffix(".json").read_text())
    rows[0]["name"], rows[0]["metrics"] = "a-blank", {}
    write_json(page.with_suffix(".json"), rows)
    made(seeds, page, recipes)
    text = page.read_text()
    assert "| a-blank" not in text
    assert "Trained, and not measured: a-blank." in text


def test_making_the_page_again_changes_no_byte(seeds, page, recipes):
    def content():
        return {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}

    made(seeds, page, recipes)
    first = content()
    made(list(reversed(seeds)), page, recipes)
    assert content() == first


def test_what_is_written_by_hand_stays(seeds, page, recipes):
    page.write_text(f"# Mine\n\nbefore\n\n{BEGIN}\nold numbers\n{END}\n\nafter\n")
    made(seeds, page, recipes)
    text = page.read_text()
    assert text.startswith("# Mine\n\nbefore\n\n")
    assert text.endswith("\n\nafter\n")
    assert "old numbers" not in text


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"])
def test_a_page_without_its_place_is_refused_and_left_as_it_is(seeds, page, recipes, text):
    page.write_text(text)
    with pytest.raises(UsageError, match="add these two lines"):
        made(seeds, page, recipes)
    assert page.read_text() == text


def test_another_family_joins_without_the_runs_of_the_first(seeds, trained_autoencoder, page, recipes):
    made(seeds, page, recipes)
    rows = made([trained_autoencoder], page, recipes)
    assert [row["name"] for row in rows] == ["autoencoder", "tiny"]
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "Where it has one" in page.read_text()
    assert (page.parent.parent / "pictures" / "results-autoencoder.png").exists()


def test_rows_that_cannot_be_read_are_named(seeds, page, recipes):
    page.with_suffix(".json").write_text("[{")
    with pytest.raises(SimulacraError, match=r"results.json cannot be read"):
        made(seeds, page, recipes)


def test_short_recipes_are_run_in_three_seeds(tmp_path):
    path = Path(simulacra.__file__).parents[2] / "benchmarks" / "results.py"
    script = runpy.run_path(str(path))
    recipe = tmp_path / "recipe.toml"
    for line, count in (("# time: 299 s of training", 3), ("# time: 1,471 s of training", 1), ("# no time", 1)):
        recipe.write_text(f'{line}\n\nfamily = "vae"\n')
        assert list(script["seeds"](recipe)) == list(range(count))
