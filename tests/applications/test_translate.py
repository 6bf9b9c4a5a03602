"""Models of two domains: training, resuming, translating, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.data.dataset import combine
from simulacra.data.load import from_array, load, training_batches
from simulacra.data.settings import DataConfig, DomainsConfig
from simulacra.engine import checkpoint
from simulacra.interfaces.cli import main
from simulacra.runs.run import Run
from simulacra.runs.settings import read, resolve
from simulacra.training.train import resume, train

TINY = {"features": 4, "blocks": 1, "downsamplings": 1, "discriminator_features": 4, "pool": 20}
TRAINING = {"batch": 4, "snapshots": 2, "threads": 1, "log_every": 2, "device": "cpu", "keep": 9}


def recipe(duration="12", **data):
    sources = {"a": "digits", "b": "digits", "limit": 100, **data}
    return {"family": "cyclegan", "data": sources, "model": TINY, "train": {**TRAINING, "duration": duration}}


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def weights(path):
    groups = checkpoint.read(checkpoint.paths(Path(path) / "checkpoints")[-1]).tensors
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def colours(count=60, shape=(12, 10, 3)):
    return from_array(np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8), name="colours")


@pytest.fixture(scope="module")
def model(tmp_path_factory, cache):
    """Digits against coloured noise of another size; do not change its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = tmp_path_factory.mktemp("runs") / "cyclegan"
        both = combine({"a": load(DataConfig(limit=100)), "b": colours()})
        train(resolve({**recipe("4"), "data": {}}, {}), out, both)
        return simulacra.open(out, dataset=both)


# --- two sources


def test_the_same_images_come_in_another_order_from_each_domain(own_cache):
    digits = load(DataConfig())
    batch = training_batches(combine({"a": digits, "b": digits}), 8, seed=0).batch(0)
    assert torch.equal(batch.images, batch["a"].images)
    assert not torch.equal(batch["a"].images, batch["b"].images)


def test_a_run_records_both_sources_and_knows_both_shapes(model):
    data = model.run.provenance["data"]
    assert [domain["name"] for domain in data["domains"].values()] == ["digits", "colours"]
    assert len({data["digest"], *(domain["digest"] for domain in data["domains"].values())}) == 3
    assert model.spec.domain("a").shape == (1, 8, 8) == model.spec.shape
    assert model.spec.domain("b").shape == (3, 12, 10)
    assert hash(model.spec) == hash(DataSpec(1, 8, 8, model.spec.classes))


def test_facts_of_runs_with_one_source_are_read_as_before():
    assert DataSpec(1, 8, 8).domain("a") == DataSpec(1, 8, 8)


def test_validation_and_pictures_show_both_directions(model):
    records = [record for record in model.run.reports.read() if record["kind"] == "validation"]
    assert {"generators/cycle", "discriminators/real_accuracy"} <= records[-1].keys()
    assert "generators/identity" not in records[-1]  # the domains differ in shape
    for to in ("a", "b"):
        assert len(list((model.run.path / "translations" / f"to_{to}").glob("step_*.png"))) == 3
    assert model.report().read_text().count("Test images of ") == 2


def test_changed_images_of_one_domain_are_refused_by_name(model):
    changed = replace(model.dataset, digest="0" * 64, domains={**model.dataset.domains, "b": replace(colours(), digest="1" * 64)})
    with pytest.raises(UsageError, match="trained on colours as domain b with digest"):
        model.run.check_data(changed)


@pytest.mark.long
def test_ten_steps_equal_four_a_resume_and_six_with_a_pool_that_is_partly_filled(tmp_path):
    constant = {"schedule": "constant"}  # the decay of four steps is not that of ten
    straight = train(resolve(recipe("10"), constant), tmp_path / "straight")
    killed = train(resolve(recipe("4"), constant), tmp_path / "killed")
    assert 0 < weights(killed.run.path)["model/pools.a.count"] < TINY["pool"]
    resume(killed.run.path, "10")
    expected, found = weights(straight.run.path), weights(killed.run.path)
    assert expected["model/pools.a.count"] == TINY["pool"]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_paths_are_kept_whole_and_recipes_survive_their_file(tmp_path):
    (tmp_path / "own").mkdir()
    for index in range(20):
        Image.new("L", (8, 8), index * 12).save(tmp_path / "own" / f"{index}.png")
    train(resolve(recipe("1", b="own"), {}), tmp_path / "run")
    config = read(tmp_path / "run" / "config.toml")
    assert isinstance(config.data, DomainsConfig)
    assert config.data.named == {"a": "digits", "b": str(tmp_path / "own")}
    assert Run.open(tmp_path / "run").spec.domain("b").shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cyclegan", "--data", "digits"], "give --data.a and --data.b"),
        (["cyclegan", "--data.a", "digits"], "domain b has no source"),
        (["cyclegan", "--data.a", "digits", "--data.b", "digist"], "did you mean 'digits'"),
        (["cyclegan", "--data.a", "digits", "--data.b", "folder"], "--data.b folder"),
        (["vae", "--data.a=digits"], "--data.a"),
    ],
)
def test_wrong_sources_are_refused_in_words(capsys, words, message):
    code, _, err = run(capsys, "train", *words)
    assert code == 2
    assert message in err
    assert not Path("runs").exists()


def test_recipes_with_wrong_sources_are_refused_too():
    with pytest.raises(UsageError, match="source"):
        resolve({"family": "vae", "data": {"b": "digits"}}, {})


@pytest.mark.long
def test_domains_are_called_as_their_folders_everywhere(capsys, tmp_path):
    for name, level in (("summer", 40), ("winter", 200)):
        for index in range(24):
            (tmp_path / "seasons" / name).mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), level + index).save(tmp_path / "seasons" / name / f"{index}.png")
    own = {"data": str(tmp_path / "seasons")}
    trained = train(
        resolve({"family": "cyclegan", "data": own, "model": TINY, "train": {**TRAINING, "duration": "1"}}, {}), tmp_path / "run"
    )
    assert sorted(path.name for path in (trained.run.path / "translations").iterdir()) == ["to_summer", "to_winter"]
    code, out, _ = run(capsys, "translate", trained.run.path, "--to", "winter", "--json")
    assert code == 0
    assert json.loads(out)["to"] == "winter"
    assert Path(json.loads(out)["path"]).name == "to_winter.png"
    assert run(capsys, "translate", trained.run.path, "--to", "b", "--json")[1] == out
    assert "--to summer or --to winter" in run(capsys, "translate", trained.run.path)[2]
    model = simulacra.open(trained.run.path)
    images = model.dataset["summer"].test.head(2).images
    assert torch.equal(model.translate(images, "winter"), model.translate(images, "b"))
    page = model.report().read_text()
    assert "Translations to winter" in page
    assert "summer → winter → summer" in page
    protocols = [row["protocol"] for row in model.evaluate(samples=0)["metrics"].values()]
    assert any(facts.get("way") == "winter to summer to winter" for facts in protocols)


def test_flags_of_two_sources_stand_in_the_help_of_such_families_alone(capsys):
    for name, there in (("cyclegan", True), ("vae", False)):
        with pytest.raises(SystemExit):
            main(["train", name, "--help"])
        assert ("--data.a TEXT" in capsys.readouterr().out) == there


# --- translating


def test_python_translates_there_and_back_in_the_shapes_of_the_domains(model):
    images = model.dataset["a"].test.head(3).images
    there = model.translate(images, to="b")
    assert there.shape == (3, 3, 12, 10)
    assert model.translate(there, to="a").shape == images.shape
    with pytest.raises(UsageError, match="expected \\[n 3 12 10\\]"):
        model.translate(images, to="a")


def test_a_folder_is_translated_name_by_name(capsys, model, tmp_path):
    for name in ("x/1.png", "x/1.bmp", "y/2.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), "red").save(tmp_path / "in" / name)
    (tmp_path / "in" / "torn.png").write_bytes(b"torn")
    words = ("translate", model.run.path, "--to", "b", "--input", tmp_path / "in", "--out", tmp_path / "out")
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    torn = [{"file": "torn.png", "reason": "no image, or its header is damaged"}]
    assert json.loads(out) | {"path": ""} == {"path": "", "to": "b", "count": 3, "skipped": torn, "unused": 0}
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert written == ["x/1.png", "x/1.png.png", "y/2.png"]  # of two that differ in their ending, the second keeps it
    with Image.open(tmp_path / "out" / "y" / "2.png") as picture:
        assert (picture.size, picture.mode) == ((10, 12), "RGB")
    code, _, err = run(capsys, *words)
    assert code == 2
    assert str(tmp_path / "out") in err


def test_a_single_image_becomes_a_single_file(capsys, model, tmp_path):
    Image.new("RGB", (20, 30), "red").save(tmp_path / "mine.JPG")
    code, _, _ = run(capsys, "translate", model.run.path, "--to", "a", "--input", tmp_path / "mine.JPG", "--out", "one.png")
    assert code == 0
    with Image.open("one.png") as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")


def test_without_input_test_images_are_translated_and_back(capsys, trained_cyclegan):
    code, out, _ = run(capsys, "translate", trained_cyclegan, "--to", "b", "--count", "4", "--json")
    assert code == 0
    content = json.loads(out)
    assert content["count"] == 4
    assert content["cycle_mse"] > 0
    with Image.open(content["path"]) as picture:
        assert picture.width == 4 * (56 + 2) - 2 + 4 * (56 + 2)  # eight columns, of which four are white
        assert picture.height == 3 * (56 + 2) - 2


@pytest.fixture
def trained_cyclegan(tmp_path):
    return train(resolve(recipe("1"), {}), tmp_path / "run").run.path


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--to", "c"], 2, "'c'"),
        (["--to", "b", "--input", "empty"], 1, "empty"),
        (["--to", "b", "--input", "nowhere"], 1, "nowhere"),
        (["--to", "b", "--input", "empty", "--out", "all.png"], 2, "all.png"),
        (["--to", "b", "--count", "-1"], 2, "count"),
    ],
)
def test_what_cannot_be_translated_is_refused(capsys, model, words, code, message):
    Path("empty").mkdir()
    found, _, err = run(capsys, "translate", model.run.path, *words)
    assert found == code
    assert message in err


def test_a_model_without_domains_does_not_translate(capsys, trained_vae):
    code, _, err = run(capsys, "translate", trained_vae.run.path, "--to", "b")
    assert code == 2
    assert "VAE" in err


@pytest.mark.parametrize("name", ["cyclegan", "vae"])
def test_data_sets_with_the_wrong_domains_are_refused(tmp_path, name):
    dataset = colours() if name == "cyclegan" else simulacra.unpaired(a=colours(), b=colours())
    with pytest.raises(UsageError, match=f"{name} needs images with the domains"):
        simulacra.train(name, dataset=dataset, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_python_trains_on_two_names(tmp_path):
    settings: dict[str, Any] = {**TINY, "duration": "1", "batch": 2, "threads": 1}
    trained = simulacra.train("cyclegan", a="digits", b="digits", out=tmp_path / "run", **settings)
    assert trained.capabilities == ("Translates",)
