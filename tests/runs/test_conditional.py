"""Classes from the command line: training with them, asking for one, and being told where there are none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import simulacra
from simulacra.interfaces.cli import main

QUICK = ["--for", "5", "--batch", "32", "--threads", "1", "--snapshots", "1", "--hidden", "16"]


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def conditional(capsys, tmp_path):
    assert run(capsys, "train", "gan", "--data", "digits", "--conditional", *QUICK, "--out", tmp_path / "run")[0] == 0
    return tmp_path / "run"


def test_a_class_is_asked_for_by_its_name(capsys, conditional):
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
    assert "unknown class 'seven': Known: 0, 1, 2" in err


def test_a_model_without_classes_says_what_is_missing(capsys, trained_vae):
    code, _, err = run(capsys, "sample", trained_vae.run.path, "--label", "7")
    assert code == 2
    assert "a label is not applicable to this VAE: it tells no classes apart" in err


def test_a_conditional_model_of_unlabelled_images_is_refused_before_anything_is_written(capsys, tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8))
    words = ["train", "gan", "--data", tmp_path / "images.npy", "--conditional", *QUICK, "--out", tmp_path / "run"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "needs images of several classes, and these have no classes: leave --conditional out" in err
    assert not Path(tmp_path / "run" / "config.toml").exists()
