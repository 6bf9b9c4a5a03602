"""The command line: help, results, errors with remedies, exit codes, and output streams."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.processes import Command

from simulacra import applications
from simulacra.interfaces.cli import main, names
from simulacra.interfaces.commands import evaluate

QUICK = ["--for", "2ep", "--batch", "64", "--snapshots", "2", "--threads", "1", "--features", "8,8", "--hidden", "16"]


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def subprocess_run(*words):
    command = [sys.executable, "-m", "simulacra", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def width_of(path):
    with Image.open(path) as picture:
        return picture.size[0]


# --- help


def test_help_starts_without_heavy_imports():
    heavy = "torch,numpy,PIL,sklearn,safetensors"
    script = (
        f"import sys; from simulacra.interfaces.cli import main; main(['--help']); "
        f"print('HEAVY', [name for name in '{heavy}'.split(',') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


@pytest.mark.long
def test_help_of_every_command_starts_without_torch_once_it_was_printed(cache, capsys):
    words = [[name] for name in names()] + [["classify", "train"], ["train", "vae"]]
    for line in words:
        with pytest.raises(SystemExit):
            main([*line, "--help"])
    expected = capsys.readouterr().out
    script = f"""
import sys
from simulacra.interfaces.cli import main
for words in {words}:
    try:
        main([*words, "--help"])
    except SystemExit:
        pass
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == expected


def test_help_lists_every_command():
    done = subprocess_run("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in names())


@pytest.mark.long
@pytest.mark.parametrize("command", names())
def test_every_command_explains_every_flag(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text


def test_help_lists_commands_in_groups(capsys):
    text = run(capsys, "--help")[1]
    groups = [
        "start:",
        "train models:",
        "use trained models:",
        "measure and compare:",
        "data and feature extractors:",
        "machine:",
    ]
    assert [line for line in text.splitlines() if line.endswith(":")] == groups
    used = text.split("use trained models:")[1].split("measure and compare:")[0]
    assert all(f"  {name} " in used for name in applications.names())


@pytest.mark.parametrize(
    ("command", "actions"), [("data", ["list", "prepare", "check", "pack"]), ("extractor", ["train", "list", "show"])]
)
def test_actions_have_help_of_their_own(command, actions, capsys):
    for action in actions:
        with pytest.raises(SystemExit):
            main([command, action, "--help"])
        text = capsys.readouterr().out
        assert text.startswith(f"usage: simulacra {command} {action}")
        assert ("--shard-images" in text) == (action == "pack")


COMPUTING = [
    "sample",
    "reconstruct",
    "interpolate",
    "traverse",
    "translate",
    "restore",
    "evaluate",
    "compare",
    "report",
    "demo",
    "doctor",
]


@pytest.mark.long
@pytest.mark.parametrize("words", [*([name] for name in COMPUTING), ["extractor", "train"], ["train", "vae"], ["resume"]])
def test_every_command_that_computes_takes_a_device_and_threads(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    text = capsys.readouterr().out
    assert "--device {auto,cpu,cuda}" in text
    assert "--threads N" in text


@pytest.mark.long
@pytest.mark.parametrize(("command", "flag"), [("sample", "--sampler"), ("sample", "--label"), ("evaluate", "--flow-images")])
def test_flags_that_do_not_apply_to_a_run_are_neither_listed_nor_accepted(command, flag, capsys, trained_vae):
    listed = []
    for words in ([command, "--help"], [command, str(trained_vae.run.path), "--help"]):
        with pytest.raises(SystemExit):
            main(words)
        listed.append(flag in capsys.readouterr().out.split("examples:")[0].split("options:")[1])
    assert listed == [True, False]
    code, out, err = run(capsys, command, trained_vae.run.path, flag, "3")
    assert (code, out) == (2, "")
    assert flag in err
    assert "VAE" in err


def test_help_of_a_family_explains_its_own_flags(capsys):
    with pytest.raises(SystemExit):
        main(["train", "vae", "--help"])
    text = capsys.readouterr().out
    assert "--likelihood" in text
    assert "beta of pixels/latents" in " ".join(text.split())


# --- errors


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["trian"], "'train'"),
        (["smaple"], "'sample'"),
        (["results"], "unknown command"),
        (["train", "vea"], "'vae'"),
        (["train", "vae", "--bacth", "3"], "--batch"),
        (["train", "vae", "--data", "mnits"], "'mnist'"),
        (["train", "vae", "--for", "soon"], "20ep"),
        (["train", "vae", "--batch", "many"], "--batch"),
        (["train", "vae", "--likelihood", "bernuli"], "'bernoulli'"),
        (["train", "vae", "--objective", "iwae", "--beta", "2"], "beta"),
        (["train", "vae", "--batch", "4000"], "batch"),
        (["train", "vae", "--lr", "-1"], "lr"),
        (["train", "vae", "--preset", "cnov"], "'conv'"),
        (["train"], "family"),
        (["train", "vae", "--recipe", "none.toml"], "none.toml"),
        (["sample", "nowhere"], "nowhere"),
        (["sample", "nowhere", "--cuont", "3"], "--count"),
        (["resume", "nowhere"], "nowhere"),
        (["data", "prepair"], "'prepare'"),
        (["data", "prepare", "--limti", "3"], "--limit"),
        (["extractor", "train"], "NAME"),
        (["extractor", "lits"], "'list'"),
        (["doctor", "--threads", "few"], "--threads"),
    ],
)
def test_wrong_usage_is_one_line_with_a_remedy_and_exit_code_2(words, named, capsys):
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert named in last
    assert "Traceback" not in err
    assert not Path("runs").exists()  # nothing half-written


def test_an_unknown_key_in_a_recipe_names_the_nearest(capsys, tmp_path):
    recipe = tmp_path / "bad.toml"
    recipe.write_text('family = "vae"\n[train]\nbacth = 3\n')
    code, _, err = run(capsys, "train", "vae", "--recipe", recipe)
    assert code == 2
    assert "'batch'" in err


def test_a_recipe_that_is_not_toml_is_refused(capsys, tmp_path):
    recipe = tmp_path / "bad.toml"
    recipe.write_text("family = vae")
    code, _, err = run(capsys, "train", "--recipe", recipe)
    assert code == 2
    assert "bad.toml" in err


def test_a_folder_without_images_fails_with_code_1_or_2_and_a_remedy(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "train", "vae", "--data", tmp_path / "empty")
    assert code in (1, 2)
    assert err.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err


def test_an_existing_run_is_never_overwritten(capsys, trained_vae):
    code, _, err = run(capsys, "train", "vae", *QUICK, "--out", trained_vae.run.path)
    assert code == 2
    assert "simulacra resume" in err


def test_a_folder_that_was_being_made_into_a_run_when_its_process_died_can_be_used(capsys, tmp_path):
    out = tmp_path / "run"
    (out / "checkpoints").mkdir(parents=True)
    (out / "provenance.json").write_text("{}")
    (out / ".config.toml.123.tmp").write_text("")
    assert run(capsys, "train", "vae", *QUICK, "--out", out)[0] == 0


def test_a_model_without_the_capability_says_what_it_needs(capsys, trained_autoencoder):
    code, _, err = run(capsys, "sample", trained_autoencoder.run.path)
    assert code == 2
    assert "needs a generator of images from noise" in err


def test_an_output_that_cannot_be_written_fails_with_code_1(capsys, trained_vae):
    code, _, err = run(capsys, "sample", trained_vae.run.path, "--out", "/proc/nowhere/x.png")
    assert code == 1
    assert "cannot write" in err


# --- a run, start to end


def test_training_from_a_recipe_keeps_everything_in_the_run_folder(capsys, tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'family = "vae"\npreset = "dense"\n[data]\ndata = "digits"\n[model]\nlatent_dim = 3\n[train]\nbatch = 100\n'
    )
    out = tmp_path / "run"
    code, said, _ = run(capsys, "train", "--recipe", recipe, "--for", "1ep", "--hidden", "16", "--threads", "1", "--out", out)
    assert code == 0
    assert "next:" in said
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["model"]["network"] == "dense"
    assert config["model"]["latent_dim"] == 3
    assert config["model"]["hidden"] == [16]  # the flag wins over the preset
    assert config["train"]["batch"] == 100
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["finished"] is True
    assert len(provenance["data"]["digest"]) == 64
    kinds = {json.loads(line)["kind"] for line in (out / "reports.jsonl").read_text().splitlines()}
    assert "validation" in kinds
    assert list((out / "samples").glob("step_*.png"))
    assert not list(out.rglob("*.pkl")) + list(out.rglob("*.pt"))


def test_json_is_the_only_thing_on_standard_output(tmp_path):
    code, output, errors = Command(tmp_path / "streams", "train", "vae", *QUICK, "--json", "--out", tmp_path / "run").ended()
    assert code == 0, errors
    outcome = json.loads(output)
    assert outcome["finished"] is True
    assert "training VAE" in errors


def test_evaluate_gives_every_number_with_its_error_count_and_protocol(capsys, trained_vae):
    path = trained_vae.run.path
    code, out, _ = run(capsys, "evaluate", path, "--particles", 5, "--samples", 0, "--json")
    assert code == 0
    metrics = json.loads(out)["metrics"]
    likelihood = {"negative_elbo_nats", "rate_nats", "distortion_nats", "nll_nats"}
    assert set(metrics) == likelihood | {"mse", "psnr_db", "active_units", "knn_accuracy", "probe_accuracy"}
    for item in metrics.values():
        assert set(item) - {"standard_error", "interval"} == {"value", "n", "protocol"}
        assert ("standard_error" in item) != ("interval" in item)
        assert item["n"] == len(trained_vae.dataset.test)
    total = metrics["rate_nats"]["value"] + metrics["distortion_nats"]["value"]
    assert metrics["negative_elbo_nats"]["value"] == pytest.approx(total, rel=1e-6)
    assert metrics["nll_nats"]["value"] < metrics["negative_elbo_nats"]["value"]
    assert metrics["nll_nats"]["protocol"]["importance_samples"] == 5
    assert list((path / "evaluation").glob("*.json"))


def test_evaluating_twice_gives_the_same_numbers(trained_vae):
    first = trained_vae.evaluate(particles=3, samples=0)["metrics"]
    shutil.rmtree(trained_vae.run.evaluations / "metrics")
    assert trained_vae.evaluate(particles=3, samples=0)["metrics"] == first


def test_metrics_that_do_not_apply_are_listed_with_the_reason(capsys, trained_autoencoder):
    code, out, _ = run(capsys, "evaluate", trained_autoencoder.run.path)
    assert code == 0
    assert "not measured: this family has no " in out
    assert "likelihood" in out.split("not measured:")[1].splitlines()[0]
    _, out, _ = run(capsys, "evaluate", trained_autoencoder.run.path, "--verbose")
    assert "not measured: elbo, nll, conditional_likelihood, label_likelihood: this family has no likelihood" in out


def test_metrics_that_need_more_images_are_listed_with_the_number(capsys, trained_vae):
    _, out, _ = run(capsys, "evaluate", trained_vae.run.path, "--samples", 100, "--metrics", "frechet_distance,known_density")
    lines = [line for line in out.splitlines() if line.startswith("not measured: ")]
    assert len(lines) == 2
    assert re.fullmatch(r"not measured: frechet_distance of .*: at least 129 are needed. Use .*", lines[0])
    assert lines[1] == "not measured: for other reasons known_density"


@pytest.mark.parametrize("name", ["grid.png", "array.npz", "folder"])
def test_sample_writes_by_the_ending_of_out(capsys, trained_vae, tmp_path, name):
    code, _, _ = run(capsys, "sample", trained_vae.run.path, "--count", 10, "--out", tmp_path / name)
    assert code == 0
    if name == "grid.png":
        assert width_of(tmp_path / name) > 100
    elif name == "array.npz":
        arrays = np.load(tmp_path / name, allow_pickle=False)
        assert arrays["images"].shape == (10, 8, 8, 1)
        assert arrays["images"].dtype == np.uint8
    else:
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [f"{index}.png" for index in range(10)]


ENDINGS: list[tuple[list[str], str, int]] = [  # words, a next command, and the number of lines of the output, 0 for listings
    (["sample", "RUN"], "evaluate RUN", 2),
    (["reconstruct", "RUN"], "evaluate RUN", 2),
    (["interpolate", "RUN"], "report RUN", 2),
    (["traverse", "RUN"], "report RUN", 2),
    (["report", "RUN"], "evaluate RUN", 2),
    (["watch", "RUN"], "evaluate RUN", 2),
    (["evaluate", "RUN", "--metrics", "elbo"], "report RUN", 0),
    (["detect", "calibrate", "RUN", "--score", "reconstruction"], "detect score RUN --input FOLDER", 0),
    (["models"], "train NAME --help", 0),
    (["data", "list"], "data check NAME", 0),
    (["data", "prepare", "digits"], "train vae --data digits", 0),
    (["data", "check", "digits"], "train vae --data digits", 0),
    (["extractor", "list"], "extractor ", 0),
    (["doctor"], "demo", 0),
]


@pytest.mark.long
@pytest.mark.parametrize("case", ENDINGS, ids=lambda case: " ".join(case[0]))
def test_every_command_ends_with_what_it_produced_and_the_next_step(case, capsys, trained_vae, tmp_path):
    (words, following, lines), path = case, tmp_path / "a run"
    if "RUN" in words:
        shutil.copytree(trained_vae.run.path, path, ignore=shutil.ignore_patterns("evaluation"))
    code, out, _ = run(capsys, *(str(path) if word == "RUN" else word for word in words))
    assert code == 0
    produced = out.splitlines()
    assert produced[-1].startswith(f"next:  simulacra {following.replace('RUN', repr(str(path)))}")
    assert not lines or len(produced) == lines


@pytest.mark.parametrize("command", ["reconstruct", "interpolate", "traverse"])
def test_images_are_written_into_the_run_folder_by_default(capsys, trained_vae, command):
    code, out, _ = run(capsys, command, trained_vae.run.path, "--json")
    assert code == 0
    assert width_of(json.loads(out)["path"]) > 100


def test_reconstruct_takes_images_from_files(capsys, trained_vae, tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "mine.JPG")
    code, out, _ = run(capsys, "reconstruct", trained_vae.run.path, "--input", tmp_path / "mine.JPG", "--json", "--out", "o.png")
    assert code == 0
    assert json.loads(out)["count"] == 1


@pytest.mark.parametrize("command", ["models", "doctor"])
def test_listings_are_json_too(capsys, command):
    code, out, _ = run(capsys, command, "--json")
    assert code == 0
    assert json.loads(out)


def test_data_list_prepare_and_check(capsys):
    for words in (["list"], ["prepare", "digits"], ["check", "digits"]):
        code, out, _ = run(capsys, "data", *words, "--json")
        assert code == 0
        assert json.loads(out)


def test_data_check_fails_where_something_spoils_training(capsys, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        Image.new("RGB", (16, 16 + index % 2), (index * 30, 0, 9)).save(folder / f"{index}.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    code, out, _ = run(capsys, "data", "check", folder)
    assert code == 1
    assert "--size" in out
    assert "torn.jpg" in out


@pytest.mark.long
def test_the_demo_does_all_of_it(capsys, monkeypatch):
    real = evaluate.run

    def without_samples(parsed, console):
        parsed.samples = 0  # no extractor is trained
        return real(parsed, console)

    monkeypatch.setattr(evaluate, "run", without_samples)
    code, out, _ = run(capsys, "demo", "--for", "1ep", "--threads", "1", "--out", "demo")
    assert code == 0
    assert len(out.splitlines()) == 3
    for name in ("images/samples.png", "images/reconstructions.png", "images/interpolations.png", "report.html"):
        assert Path("demo", name).exists()
    assert "simulacra traverse demo" in out
