"""A VAE on toy points: its bound lies above the entropy that is known, its modes are counted, its pictures show points."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import stream
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES
from simulacra.images.grid import image_grid, scatter_plot
from simulacra.interfaces.cli import main
from simulacra.metrics.context import NO_SAMPLES

RING = KNOWN_DENSITIES["ring"]
METRICS = "elbo, nll, known_density, frechet_distance"


@pytest.fixture(scope="module")
def vae(tmp_path_factory, cache):
    """A VAE with a likelihood of 256 levels, trained on the ring for some seconds."""
    settings: dict[str, Any] = {
        "network": "dense",
        "hidden": (64, 64),
        "latent_dim": 2,
        "likelihood": "logistic",
        "lr": 5e-3,
        "batch": 256,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = tmp_path_factory.mktemp("toys") / "vae"
        return simulacra.train(
            "vae", data="ring", out=out, duration="800", snapshots=2, threads=1, precision="float32", **settings
        )


@pytest.fixture(scope="module")
def numbers(vae):
    return vae.evaluate(particles=10, samples=4000, metrics=METRICS)


@pytest.mark.long
def test_the_bound_of_a_discrete_likelihood_lies_above_the_entropy(vae, numbers):
    # E(-log p(x) of the model) >= entropy, and its estimates are upper bounds: the difference of the scores of the same
    # points estimates a KL divergence; 5 standard errors: 3e-7; detects a bound that is too small by 0.2 nats
    assert [len(split) for split in vae.dataset.splits] == [45_833, 4_167, 10_000]
    points = vae.dataset.test.images.reshape(-1, 2)
    with stream(0, "test"), inference_mode(vae.model):
        scores = -vae.model.log_likelihood(vae.dataset.test.head(len(points)).images, 10).nats.double().numpy()
    excess = scores + RING.log_probability(points)
    assert excess.mean() > -5 * excess.std() / len(points) ** 0.5
    assert excess.mean() < 4  # it has learned: a uniform law has 11.09 nats, 4.8 above the entropy
    for name in ("nll_nats", "negative_elbo_nats"):
        metric = numbers["metrics"][name]
        assert metric["value"] > RING.entropy_nats - 5 * metric["standard_error"]
    dimensions = numbers["metrics"]["bits_per_dim"]
    assert dimensions["value"] > RING.entropy_nats / np.log(4) - 5 * dimensions["standard_error"]


@pytest.mark.long
def test_modes_are_counted_without_an_extractor(numbers):
    metrics = numbers["metrics"]
    assert metrics["modes_covered"]["value"] >= 6
    assert metrics["modes_covered"]["protocol"]["of"] == 8
    assert 0.1 < metrics["high_quality_share"]["value"] < 0.99
    assert metrics["entropy_nats"]["value"] == RING.entropy_nats
    assert metrics["cross_entropy_nats"]["value"] > RING.entropy_nats
    assert "frechet_distance" not in metrics
    assert "density" in numbers["not_applicable"]["frechet_distance"]


@pytest.mark.long
def test_a_collapse_is_a_warning(vae, monkeypatch):
    monkeypatch.setattr(type(vae.model), "generate", lambda self, noise, labels=None: self.decode(0 * noise))
    numbers = vae.evaluate(samples=2000, seed=1, metrics="known_density")
    assert numbers["metrics"]["modes_covered"]["value"] <= 1
    assert any(warning.startswith("missing modes: ") and "8 modes" in warning for warning in numbers["warnings"])


@pytest.mark.long
def test_without_samples_the_modes_are_left_out(vae):
    assert vae.evaluate(samples=0, metrics="known_density")["not_applicable"]["known_density"] == NO_SAMPLES


@pytest.mark.long
def test_json_of_a_toy_run_lists_the_exact_entropy(vae, numbers, capsys):
    settings = ["--particles", "10", "--samples", "4000", "--metrics", METRICS]
    assert main(["evaluate", str(vae.run.path), *settings, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == numbers["metrics"]


@pytest.mark.long
@pytest.mark.parametrize(("command", "height"), [("sample", 512), ("reconstruct", 1026), ("interpolate", 512), ("traverse", 512)])
def test_points_are_shown_on_one_square(vae, tmp_path, command, height):
    out = tmp_path / "picture.png"
    assert main([command, str(vae.run.path), "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size == (512, height)


@pytest.mark.long
def test_a_training_and_its_report_show_the_points(vae):
    for folder, height in (("samples", 512), ("reconstructions", 1026)):
        snapshots = sorted((vae.run.path / folder).iterdir())
        assert len(snapshots) == 3
        with Image.open(snapshots[-1]) as picture:
            assert picture.size == (512, height)
    page = vae.report().read_text()
    assert 'width="512" height="512" alt="Images generated from noise"' in page
    assert 'width="200" height="200" alt="Snapshot at step 800"' in page


def test_a_scatter_plot_shows_points_where_they_are():
    points = torch.tensor([[0.25, 0.75]]).reshape(1, 1, 1, 2)
    dark = np.argwhere(np.asarray(scatter_plot(points)) < 150)
    row, column = dark.mean(0)
    assert column / 512 == pytest.approx(0.25, abs=0.01)
    assert 1 - row / 512 == pytest.approx(0.75, abs=0.01)


def test_only_points_become_scatter_plots():
    assert image_grid(torch.zeros(4, 1, 2, 1), 2).size != (512, 512)
    assert image_grid(torch.zeros(4, 1, 1, 2), 2).size == (512, 512)
