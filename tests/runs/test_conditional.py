"""Labels from the command line: conditional models, the label of samples, and models without labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.batch import Attribute, DataSpec
from simulacra.core.errors import UsageError
from simulacra.interfaces.cli import main
from simulacra.runs.opened import label_names, parse_label

QUICK = ["--for", "5", "--batch", "32", "--threads", "1", "--snapshots", "1", "--hidden", "16"]


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def conditional(capsys, tmp_path):
    assert run(capsys, "train", "gan", "--data", "digits", "--conditional", *QUICK, "--out", tmp_path / "run")[0] == 0
    return tmp_path / "run"


def test_a_label_is_the_name_of_a_class(capsys, conditional):
    words = ["sample", conditional, "--count", "3", "--json"]
    images = {}
    for name, label in (("drawn", []), ("three", ["--label", "3"]), ("seven", ["--label", "7"])):
        code, out, _ = run(capsys, *words, *label, "--out", f"{name}.npz")
        assert code == 0
        assert json.loads(out)["label"] == (label[1] if label else None)
        images[name] = np.load(f"{name}.npz", allow_pickle=False)["images"]
    assert not np.array_equal(images["three"], images["seven"])
    model = simulacra.open(conditional)
    torch.testing.assert_close(model.sample(70, label="3")[:3], model.sample(3, label="3"))


def test_an_unknown_class_is_refused_with_the_known_ones(capsys, conditional):
    code, _, err = run(capsys, "sample", conditional, "--label", "seven")
    assert code == 2
    assert "'seven'" in err


def test_a_label_is_refused_by_a_model_without_labels(capsys, trained_vae):
    code, _, err = run(capsys, "sample", trained_vae.run.path, "--label", "7")
    assert code == 2
    assert "--label" in err
    assert "VAE" in err


def test_a_conditional_model_of_unlabelled_images_is_refused_before_anything_is_written(capsys, tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8))
    words = ["train", "gan", "--data", tmp_path / "images.npy", "--conditional", *QUICK, "--out", tmp_path / "run"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "--conditional" in err
    assert not Path(tmp_path / "run" / "config.toml").exists()


ATTRIBUTES = DataSpec(1, 8, 8, attributes=(Attribute("digit", ("0", "3")), Attribute("hue", ("red", "green", "blue"))))


def test_a_label_of_several_attributes_names_each():
    assert parse_label("hue=blue, digit=3", ATTRIBUTES).tolist() == [[1, 2]]
    assert parse_label("digit=0,hue=red", ATTRIBUTES).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("text", "name"), [("digit=3", "hue"), ("digt=3,hue=red", "'digit'"), ("digit=3,hue=bleu", "'blue'"), ("3", "digit=")]
)
def test_a_wrong_label_of_attributes_names_what_is_valid(text, name):
    with pytest.raises(UsageError, match=name):
        parse_label(text, ATTRIBUTES)


# --- captions


@pytest.fixture(scope="module")
def captioned(tmp_path_factory, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        settings: dict[str, Any] = {
            "duration": "2",
            "batch": 16,
            "threads": 1,
            "snapshots": 1,
            "features": (8, 8),
            "sampling_steps": 2,
        }
        return simulacra.train(
            "diffusion", data="digits-hues", captions=True, out=tmp_path_factory.mktemp("runs") / "captioned", **settings
        )


@pytest.mark.long
def test_a_run_of_captions_is_opened_and_sampled_without_its_data(captioned, monkeypatch, tmp_path):
    monkeypatch.setattr(simulacra.Model, "dataset", property(lambda self: pytest.fail("the data are not needed")))
    model = simulacra.open(captioned.run.path)
    assert model.spec.vocabulary == captioned.spec.vocabulary
    assert model.spec.vocabulary is not None
    assert "seven" in model.spec.vocabulary.words
    red, blue, none = (model.sample(3, caption=text) for text in ("A red seven", "a blue seven", None))
    assert red.shape == none.shape == (3, 3, 8, 8)
    torch.testing.assert_close(model.sample(3, caption="a red seven; a blue seven"), torch.cat([red, blue]))


def test_captions_from_the_command_line_give_one_row_each(capsys, captioned):
    words = ["sample", captioned.run.path, "--caption", "a red seven;the digit 3 in blue", "--count", "4", "--json"]
    code, out, _ = run(capsys, *words, "--out", "captions.npz")
    assert code == 0
    assert json.loads(out)["captions"] == ["a red seven"] * 4 + ["the digit 3 in blue"] * 4
    assert np.load("captions.npz", allow_pickle=False)["images"].shape == (8, 8, 8, 3)
    assert run(capsys, *words, "--out", "captions.png")[0] == 0
    with Image.open("captions.png") as grid:
        assert grid.width > 1.9 * grid.height
    assert run(capsys, *words, "--out", "captions")[0] == 0
    assert len(list(Path("captions").glob("*_a-red-seven.png"))) == 4


def test_unknown_words_and_models_without_captions_are_refused(capsys, captioned, trained_vae):
    code, _, err = run(capsys, "sample", captioned.run.path, "--caption", "a rde seven")
    assert code == 2
    assert "unknown word 'rde' (nearest: red" in err
    code, _, err = run(capsys, "sample", trained_vae.run.path, "--caption", "a red seven")
    assert code == 2
    assert "it takes no captions" in err
    code, _, err = run(capsys, "sample", captioned.run.path, "--label", "7")
    assert code == 2
    with pytest.raises(UsageError, match="both a label '7' and a caption 'red'"):
        captioned.sample(1, label="7", caption="red")


def test_a_training_without_captions_in_the_data_is_refused(capsys, tmp_path):
    words = ["train", "diffusion", "--data", "digits", "--captions", *QUICK[:-2], "--out", tmp_path / "run"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "leave --captions out" in err
    assert not Path(tmp_path / "run" / "config.toml").exists()


def test_values_with_commas_and_equals_signs_are_parsed_as_they_are_written():
    values = ("blue", "blue, dark", "blue, dark, a=b", "a=b")
    spec = DataSpec(1, 8, 8, attributes=(Attribute("hue", values), Attribute("size", ("1", "2"))))
    labels = torch.cartesian_prod(torch.arange(4), torch.arange(2))
    assert torch.equal(torch.cat([parse_label(text, spec) for text in label_names(labels, spec)]), labels)
    assert parse_label("size=2, hue=blue, dark", spec).tolist() == [[1, 1]]
    with pytest.raises(UsageError, match=r"'hue=blue,size=1,size=2' gives size twice: give each attribute once"):
        parse_label("hue=blue,size=1,size=2", spec)
    with pytest.raises(UsageError, match="unknown attribute 'sise'"):
        parse_label("hue=blue,sise=1", spec)
