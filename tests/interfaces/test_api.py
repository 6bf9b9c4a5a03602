"""The Python API does what the command line does."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.recording import Listener

import simulacra
from simulacra.core.errors import UsageError
from simulacra.interfaces.cli import main
from simulacra.training import monitors

SMALL: dict[str, Any] = {"duration": "2", "batch": 16, "network": "dense", "hidden": (8,), "snapshots": 1, "threads": 1}


def test_sampling_is_a_function_of_seed_and_number(trained_vae):
    many, few = trained_vae.sample(70, seed=3), trained_vae.sample(5, seed=3)
    assert many.shape == (70, 1, 8, 8)
    torch.testing.assert_close(many[:5], few, rtol=0, atol=1e-6)
    assert not torch.allclose(few, trained_vae.sample(5, seed=4))


def test_an_opened_run_is_the_trained_model(trained_vae):
    opened = simulacra.open(trained_vae.run.path)
    assert torch.equal(opened.sample(4), trained_vae.sample(4))


def test_the_size_chosen_for_images_of_mixed_sizes_is_among_the_settings_of_the_run(tmp_path):
    for at in range(12):
        pixels = np.random.default_rng(at).integers(0, 256, (8 + at % 3, 9), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{at}.png")
    small: dict[str, Any] = {"duration": "1", "batch": 4, "network": "dense", "hidden": (8,), "threads": 1}
    model = simulacra.train("autoencoder", data=str(tmp_path / "photos"), out=tmp_path / "run", **small)
    assert model.spec.shape == (1, 8, 8)
    assert model.run.config.data.size == 8
    assert simulacra.open(tmp_path / "run").dataset.spec == model.spec


def test_interpolation_ends_at_the_reconstructions(trained_vae):
    images = trained_vae.dataset.test.head(6).images
    made = trained_vae.interpolate(images[:3], images[3:], steps=5)
    assert made.shape == (3, 5, 1, 8, 8)
    torch.testing.assert_close(made[:, 0], trained_vae.reconstruct(images[:3]), rtol=0, atol=1e-5)
    torch.testing.assert_close(made[:, -1], trained_vae.reconstruct(images[3:]), rtol=0, atol=1e-5)


def test_traversal_has_a_row_for_each_latent(trained_vae):
    image = trained_vae.dataset.test.head(1).images[0]
    assert trained_vae.traverse(image, steps=7).shape == (4, 7, 1, 8, 8)


def test_images_of_another_shape_are_refused_with_both_shapes(trained_vae):
    with pytest.raises(UsageError, match=r"\(2, 3, 8, 8\).*\[n 1 8 8\]"):
        trained_vae.encode(torch.zeros(2, 3, 8, 8))


def test_a_model_can_be_trained_on_an_array(tmp_path):
    rng = np.random.default_rng(0)
    dataset = simulacra.from_array(rng.integers(0, 256, (120, 12, 10), dtype=np.uint8))
    model = simulacra.train(
        "vae", dataset=dataset, duration="2ep", batch=16, features=(4, 4), hidden=(8,), threads=1, out=tmp_path / "run"
    )
    assert model.sample(2).shape == (2, 1, 12, 10)
    found = simulacra.open(tmp_path / "run", dataset=dataset).evaluate(particles=2, samples=0)
    assert found["metrics"]["mse"]["n"] == len(dataset.test)


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    simulacra.train("autoencoder", duration="3", batch=16, network="dense", hidden=(8,), threads=1, out=tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.long
def test_the_same_settings_give_the_same_bits(tmp_path):
    settings: dict[str, Any] = {"duration": "8", "batch": 16, "snapshots": 1, "features": (4, 4), "hidden": (8,), "threads": 1}
    one = simulacra.train("vae", out=tmp_path / "one", **settings)
    same = simulacra.train("vae", out=tmp_path / "same", **settings)
    other = simulacra.train("vae", out=tmp_path / "other", seed=1, **settings)
    assert torch.equal(one.sample(4), same.sample(4))
    assert not torch.equal(one.sample(4), other.sample(4))


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(UsageError, match="latent_dim"):
        simulacra.train("vae", latent_dm=3, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_posterior_collapse_is_announced(tmp_path, monkeypatch):
    monkeypatch.setattr(monitors, "_EMA_STEPS", 200)  # by default the warning is given from step 1,000 on
    listener = Listener()
    small: dict[str, Any] = {"batch": 16, "features": (4, 4), "hidden": (8,), "snapshots": 4, "threads": 1}
    simulacra.train("vae", duration="200", beta=1000.0, out=tmp_path / "run", progress=listener, **small)
    assert any("posterior collapse" in message for message in listener.said)


def test_the_names_of_the_api_are_listed():
    assert {"Model", "train", "open", "compare", "load_data"} <= set(dir(simulacra))
    assert all(getattr(simulacra, name) for name in dir(simulacra))


def test_a_model_describes_itself(trained_vae):
    description = repr(trained_vae)
    assert all(part in description for part in ("VAE", "digits", "8 x 8", str(trained_vae.run.path), "Samples"))


def test_latents_are_decoded_to_the_reconstructions(trained_vae):
    images = trained_vae.dataset.test.head(3).images
    latents = trained_vae.encode(images)
    assert latents.shape == (3, 4)
    torch.testing.assert_close(trained_vae.decode(latents), trained_vae.reconstruct(images))


def test_settings_of_a_sampler_are_refused_by_a_model_without_one(trained_vae):
    with pytest.raises(UsageError, match="sampler"):
        trained_vae.evaluate(sampler="nonsense")


# --- what the commands do


def copied(run, tmp_path):
    """Return a copy of a run, whose folder may change."""
    shutil.copytree(run.run.path, tmp_path / "copy")
    return simulacra.open(tmp_path / "copy", quiet=True)


def test_images_are_classified_by_the_stored_classifier(trained_vae, tmp_path):
    model = copied(trained_vae, tmp_path)
    test = model.dataset.test.head(200)
    with pytest.raises(UsageError, match="has no classifier: train it"):
        model.classify(test.images)
    trained = model.command("classify train", method="probe")
    probabilities = model.classify(test.images)
    assert probabilities.shape == (200, 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(200, dtype=torch.float64))
    assert trained["temperature"] > 0
    assert (probabilities.argmax(1) == test.labels).double().mean() > 0.4
    with pytest.raises(UsageError, match="images have shape"):
        model.classify(test.images[..., :4])


def test_anomalies_are_detected_by_the_stored_calibration(trained_vae, tmp_path):
    model = copied(trained_vae, tmp_path)
    images = torch.cat([model.dataset.test.head(8).images, torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))])
    calibrated = model.command("detect calibrate", false_positive_rate=0.05)
    found = model.detect(images)
    assert torch.equal(found.scores, model.anomaly_scores(images))
    assert torch.equal(found.anomalous, found.scores > calibrated["threshold"])
    assert torch.equal(found.anomalous, found.p_values <= 0.05)
    assert found.anomalous[8:].sum() > found.anomalous[:8].sum()


def test_every_application_is_a_command_of_the_model(trained_vae, tmp_path, capsys):
    model = copied(trained_vae, tmp_path)
    found = model.command("sample", count=3, out=str(tmp_path / "three.png"))
    assert main(["sample", str(model.run.path), "--count", "3", "--out", str(tmp_path / "three.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    with pytest.raises(UsageError, match="did you mean 'sample'"):
        model.command("sampel")
    with pytest.raises(UsageError, match="did you mean 'train'"):
        model.command("classify trian")
    with pytest.raises(UsageError, match="unknown key in sample 'cuont'"):
        model.command("sample", cuont=3)
    with pytest.raises(UsageError, match="translate is not applicable to VAE"):
        model.command("translate")


def test_data_and_families_are_listed_checked_and_packed(tmp_path):
    assert "digits" in simulacra.list_data()
    assert simulacra.list_families()["vae"]["capabilities"]
    assert simulacra.check_data("digits", quiet=True).train == 1500
    assert simulacra.status(simulacra.train("vae", out=tmp_path / "run", quiet=True, **SMALL).run.path).step == 2
    pytest.importorskip("webdataset")
    assert simulacra.pack_data("digits", tmp_path / "shards", limit=50, quiet=True)["shards"]


def test_the_module_of_a_model_is_the_network_with_its_gradients(trained_vae):
    images = trained_vae.dataset.test.head(3).images.requires_grad_()
    module = trained_vae.module
    assert not module.training
    latents = module.encode(images)
    torch.testing.assert_close(latents.detach(), trained_vae.encode(images.detach()))
    latents.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
