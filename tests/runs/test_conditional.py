"""Labels from the command line: conditional models, the label of samples, and models without labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import simulacra
from simulacra.core.batch import Attribute, DataSpec
from simulacra.core.errors import UsageError
from simulacra.interfaces.cli import main
from simulacra.runs.opened import parse_label

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
