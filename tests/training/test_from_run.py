"""A training can begin with the weights of another run."""

from typing import Any

import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.errors import UsageError
from simulacra.interfaces.cli import main

SHORT: dict[str, Any] = {"duration": "2", "batch": 64, "quiet": True}


def weights(model):
    return dict(model.module.state_dict())


def test_the_training_begins_with_the_weights_and_the_model_of_the_run(trained_vae, tmp_path):
    path = trained_vae.run.path
    model = simulacra.train("vae", from_run=path, lr=1e-12, ema=0, out=tmp_path / "run", **SHORT)
    assert model.run.config.model == trained_vae.run.config.model
    assert model.run.config.data == trained_vae.run.config.data
    for name, value in weights(trained_vae).items():
        torch.testing.assert_close(weights(model)[name], value, rtol=0, atol=1e-6)
    assert model.run.provenance["from"]["id"] == trained_vae.run.provenance["id"]


def test_the_command_takes_the_family_from_the_run(trained_vae, tmp_path, capsys):
    words = ["train", "--from", trained_vae.run.path, "--for", "1", "--batch", "64", "--beta", "2", "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    model: Any = simulacra.open(tmp_path / "run")
    assert (model.run.config.family, model.run.config.model.beta) == ("vae", 2)


def test_other_images_get_the_size_of_those_of_the_run(trained_vae, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(80):
        Image.new("RGB", (20, 20), (3 * number, 0, 0)).save(folder / f"{number}.png")
    model: Any = simulacra.train(
        "vae", from_run=trained_vae.run.path, data=str(folder), out=tmp_path / "run", duration="1", batch=16, quiet=True
    )
    assert model.spec.shape == trained_vae.spec.shape


def test_another_family_preset_or_architecture_is_refused(trained_vae, tmp_path):
    path = trained_vae.run.path
    with pytest.raises(UsageError, match="cannot be the start of 'gan'"):
        simulacra.train("gan", from_run=path, out=tmp_path / "a", **SHORT)
    with pytest.raises(UsageError, match="leave the preset out"):
        simulacra.train("vae", from_run=path, preset="conv", out=tmp_path / "b", **SHORT)
    with pytest.raises(UsageError, match="do not fit this model"):
        simulacra.train("vae", from_run=path, latent_dim=3, out=tmp_path / "c", **SHORT)
    assert not any(tmp_path.iterdir())
