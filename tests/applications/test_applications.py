"""Applications are plug-ins: one file adds a command, its help, its place in `models`, and a section of the report."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra import applications
from simulacra.applications.reconstruct import ReconstructConfig
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.files import Unwritable
from simulacra.core.progress import SILENT
from simulacra.images.files import check_png
from simulacra.images.grid import to_bytes
from simulacra.images.samples import images_writer
from simulacra.interfaces.cli import main
from simulacra.reports.run_page import write_report
from simulacra.runs.output import output_path

TOY = '''"""Compute the mean brightness of generated images."""

from dataclasses import dataclass

from simulacra.applications.application import Application, ApplicationResult
from simulacra.core.capabilities import Samples
from simulacra.core.config import Config, option
from simulacra.images.section import ReportSection
from simulacra.runs.generation import SampleRequest, sample_images


@dataclass(frozen=True)
class BrightnessConfig(Config):
    images: int = option(4, "number of images", low=1)
    shade: str = option("", "a shade of the labels")


def run(opened, settings, progress):
    value = float(sample_images(opened.model, SampleRequest(settings.images), progress).mean())
    return ApplicationResult({"brightness": value}, f"brightness {value:.3f}")


APPLICATION = Application(
    name="brightness",
    description=__doc__,
    settings=BrightnessConfig,
    needs=(Samples,),
    run=run,
    examples=("simulacra brightness runs/first",),
    setting_needs={"shade": ("labels",)},
    section=lambda opened: ReportSection("Brightness of samples", 15, ("They are grey.",)),
)
'''


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Add the application `brightness` as one file."""
    folder = tmp_path / "plug_ins"
    folder.mkdir()
    (folder / "brightness.py").write_text(TOY)
    monkeypatch.setattr(applications, "__path__", [*applications.__path__, str(folder)])


def test_one_file_adds_a_command(toy, capsys, trained_vae):
    assert "brightness   Compute the mean brightness of generated images." in run(capsys, "--help")[1]
    with pytest.raises(SystemExit):
        main(["brightness", "--help"])
    assert "--images N" in capsys.readouterr().out
    code, out, _ = run(capsys, "brightness", trained_vae.run.path, "--images", "2", "--json")
    assert code == 0
    assert 0 < json.loads(out)["brightness"] < 1
    assert main(["brightness", str(trained_vae.run.path), "--images", "0"]) == 2


def test_one_file_is_listed_for_the_families_that_it_applies_to(toy, capsys):
    families = json.loads(run(capsys, "models", "--json")[1])
    assert "brightness" in families["vae"]["applications"]
    assert "brightness" not in families["autoencoder"]["applications"]


def test_one_file_adds_a_section_to_the_report(toy, trained_vae, tmp_path):
    shutil.copytree(trained_vae.run.path, tmp_path / "run")
    page = write_report(simulacra.open(tmp_path / "run"), SILENT).read_text()
    assert 'id="brightness-of-samples"' in page


def test_the_help_of_a_run_lists_only_settings_that_apply(toy, capsys, trained_vae):
    for words, there in ((["brightness", "--help"], True), (["brightness", str(trained_vae.run.path), "--help"], False)):
        with pytest.raises(SystemExit):
            main(words)
        assert ("--shade" in capsys.readouterr().out) == there
    code, _, err = run(capsys, "brightness", trained_vae.run.path, "--shade", "blue")
    assert code == 2
    assert "--shade" in err


def test_an_application_may_have_several_actions(tmp_path, monkeypatch, capsys, trained_vae):
    single = "    settings=BrightnessConfig,\n    needs=(Samples,),\n    run=run,\n"
    several = """    needs=(Samples,),
    actions=(
        Action("measure", "Measure it.", BrightnessConfig, run),
        Action("dim", "Do nothing.", Config, lambda opened, settings, progress: ApplicationResult({"dim": 1}, "dim")),
    ),
"""
    source = TOY.replace(single, several).replace("import Application,", "import Action, Application,")
    source = source.replace('"brightness",', '"several",').replace('    setting_needs={"shade": ("labels",)},\n', "")
    (tmp_path / "several.py").write_text(source)
    monkeypatch.setattr(applications, "__path__", [*applications.__path__, str(tmp_path)])
    path = trained_vae.run.path
    code, out, err = run(capsys, "several", "measure", path, "--images", "2", "--json")
    assert code == 0, err
    assert 0 < json.loads(out)["brightness"] < 1
    code, out, _ = run(capsys, "several", "dim", path)
    assert (code, out.splitlines()[0]) == (0, "dim")
    assert "--images" in run(capsys, "several", "dim", path, "--images", "2")[2]
    assert "did you mean 'measure'" in run(capsys, "several", "measur", path)[2]


def test_an_application_that_does_not_apply_is_refused(trained_autoencoder):
    with pytest.raises(NotApplicable, match="Autoencoder"):
        applications.find("sample").require(trained_autoencoder.model)


def test_an_unknown_application_names_the_nearest():
    with pytest.raises(UsageError, match="'sample'"):
        applications.find("smaple")


# --- outputs are checked before anything is computed


@pytest.fixture
def _no_network(monkeypatch):
    """Fail where a model is evaluated."""
    from simulacra.families.vae import VAE

    def fail(*arguments):
        raise AssertionError("the model was evaluated")

    for name in ("decode", "posterior", "reconstruct", "generate"):
        monkeypatch.setattr(VAE, name, fail)


@pytest.mark.usefixtures("_no_network")
def test_a_traversal_that_is_too_large_for_one_image_is_refused_before_any_work(trained_vae, capsys):
    code, _, err = run(capsys, "traverse", trained_vae.run.path, "--steps", "10000")
    assert code == 2
    assert "is one image, which shows at most" in err
    assert "not 40,000: give fewer --steps" in err


@pytest.mark.long
@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate", "traverse", "classify evaluate", "detect evaluate"])
@pytest.mark.parametrize("out", ["image.jpg", "file/image.png", "folder.png"])
def test_a_wrong_output_is_refused_before_any_work(command, out, trained_vae, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    code, _, err = run(capsys, *command.split(), trained_vae.run.path, "--out", tmp_path / out)
    assert code == 2
    assert out.split("/")[-1] in err


@pytest.mark.long
@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize(
    "words",
    [
        ["classify", "predict", "RUN", "--input", "photos", "--out", "classes.txt"],
        ["detect", "score", "RUN", "--input", "photos", "--out", "scores.txt"],
        ["detect", "score", "RUN", "--input", "photos", "--gallery", "gallery.jpg"],
        ["latent-map", "RUN", "--out", "map.png"],
        ["latent-map", "RUN", "--walk", "--out", "walk.html"],
        ["encode", "RUN", "--out", "latents.txt"],
        ["sample", "RUN", "--count", "100000", "--out", "grid.png"],
        ["compare", "RUN", "OTHER", "--html", "file/page.html"],
        ["compare", "RUN", "OTHER", "--csv", "table.txt"],
        ["train", "vae", "--data", "digits", "--out", "file/run"],
        ["demo", "--out", "file/run"],
        ["data", "pack", "digits", "--out", "file/shards"],
    ],
)
def test_the_outputs_of_every_command_are_judged_first(words, trained_vae, trained_autoencoder, capsys):
    Path("file").write_text("")
    runs = {"RUN": trained_vae.run.path, "OTHER": trained_autoencoder.run.path}
    code, _, err = run(capsys, *(runs.get(word, word) for word in words))
    assert code == 2, err
    assert words[-1].split("/")[-1] in err


def test_a_folder_that_cannot_be_written_is_refused_first(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(Unwritable, match="Permission denied"):
        check_png(tmp_path / "image.png")


@pytest.mark.long
def test_outputs_of_other_settings_have_other_names(trained_vae, tmp_path, capsys):
    shutil.copytree(trained_vae.run.path, tmp_path / "run")
    written = []
    choices: list[list[str]] = [
        [],
        ["--path", "linear", "--rows", "2"],
        ["--from-class", "4", "--to-class", "9"],
        ["--steps", "5", "--seed", "7"],
    ]
    for chosen in choices:
        code, out, err = run(capsys, "interpolate", tmp_path / "run", *chosen, "--json")
        assert code == 0, err
        written.append(Path(json.loads(out)["path"]).name)
    names = ["", "_rows-2_path-linear", "_from-class-4_to-class-9", "_steps-5_seed-7"]
    assert written == [f"interpolations{name}.png" for name in names]
    assert sorted(path.name for path in (tmp_path / "run" / "images").glob("*.png")) == sorted(written)


def test_texts_that_cannot_be_names_have_a_digest(trained_vae):
    names = {
        output_path(trained_vae.run, ReconstructConfig(input=text), "reconstructions", ".png").name
        for text in ("a b", "a/b", "a-b", "x/b", "a\nb", "b" * 300, "b" * 301)
    }
    assert len(names) == 7
    assert all(len(name) < 130 and "/" not in name for name in names)
    assert "reconstructions_input-a-b.png" in names


@pytest.mark.long
def test_many_samples_are_written_in_parts(trained_vae, tmp_path, capsys, monkeypatch):
    seen = []
    decode = type(trained_vae.model).decode

    def counted(model, latents, *condition):
        seen.append(len(latents))
        return decode(model, latents, *condition)

    monkeypatch.setattr(type(trained_vae.model), "decode", counted)
    for name in ("many.npz", "many", "many.png"):
        code, out, err = run(capsys, "sample", trained_vae.run.path, "--count", "600", "--out", tmp_path / name, "--json")
        assert (code, json.loads(out)["count"]) == (0, 600), err
    assert seen == [256, 256, 88] * 3
    expected = to_bytes(trained_vae.sample(600))
    with np.load(tmp_path / "many.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["images"], expected)
    files = sorted((tmp_path / "many").iterdir())
    assert [path.name for path in files[:2]] + [files[-1].name] == ["000.png", "001.png", "599.png"]
    with Image.open(files[-1]) as image:
        assert np.array_equal(np.asarray(image), expected[-1][:, :, 0])
    chunks = list(trained_vae.sample_chunks(600))
    assert torch.equal(torch.cat([part.images for part in chunks]), trained_vae.sample(600))


def test_an_interrupted_array_leaves_nothing(tmp_path):
    def interrupted():
        with images_writer(tmp_path / "part.npz", 10) as write:
            write(torch.zeros(5, 1, 4, 4), {}, [])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_network")
def test_samples_are_not_mixed_with_other_files(trained_vae, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.png").write_text("my own")
    assert run(capsys, "sample", trained_vae.run.path, "--out", tmp_path / "mine")[0] == 2
    assert (tmp_path / "mine" / "0.png").read_text() == "my own"


def test_a_folder_with_a_dot_in_its_name_is_a_folder(trained_vae, tmp_path, capsys):
    assert run(capsys, "sample", trained_vae.run.path, "--count", "2", "--out", tmp_path / "v1.5")[0] == 0
    assert sorted(path.name for path in (tmp_path / "v1.5").iterdir()) == ["0.png", "1.png"]


def test_labels_are_stored_with_samples_of_a_conditional_model(tmp_path, cache, capsys):
    model = simulacra.train("gan", conditional=True, duration="2", batch=32, hidden=(8,), threads=1, out=tmp_path / "run")
    words = ["sample", model.run.path, "--count", "5", "--json"]
    for label in (None, "7"):
        given = [] if label is None else ["--label", label]
        code, out, _ = run(capsys, *words, *given, "--out", tmp_path / f"{label}.npz")
        assert code == 0
        with np.load(tmp_path / f"{label}.npz", allow_pickle=False) as stored:
            labels = stored["labels"]
            assert json.loads(out)["labels"] == stored["label_names"].tolist() == [str(value) for value in labels]
        if label is None:
            images = [model.sample(5, label=str(value))[index] for index, value in enumerate(labels)]
            assert all(np.array_equal(image, drawn) for image, drawn in zip(images, model.sample(5), strict=True))
        else:
            assert labels.tolist() == [7] * 5
    assert run(capsys, *words, "--out", tmp_path / "folder")[0] == 0
    assert len({path.stem.split("_")[1] for path in (tmp_path / "folder").iterdir()}) > 1
