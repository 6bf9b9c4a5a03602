"""`simulacra latent-map`: its files, that they are functions of their settings, walks, and what is refused."""

import json
import re
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra import applications
from simulacra.applications.latent_map import LatentMapConfig
from simulacra.core.errors import UsageError
from simulacra.interfaces.api import Model
from simulacra.interfaces.cli import main
from simulacra.maps.walk import normal_quantiles, walk

QUICK: dict[str, Any] = {"duration": "20", "batch": 32, "threads": 1, "snapshots": 1, "network": "dense", "hidden": (16,)}


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def two_latents(tmp_path_factory, cache) -> dict[str, Model]:
    """Barely trained models with two latents; do not change their folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        folder = tmp_path_factory.mktemp("two")
        return {
            name: simulacra.train(name, data="digits", out=folder / name, latent_dim=2, **QUICK)
            for name in ("vae", "autoencoder")
        }


def test_the_command_has_a_dash_and_its_file_an_underscore(capsys):
    assert applications.find("latent-map").name == "latent-map"
    assert re.search(r"latent-map +Map the latents", (main(["--help"]), capsys.readouterr().out)[1])
    with pytest.raises(UsageError, match="did you mean 'latent-map'"):
        applications.find("latent_map")


def test_the_map_is_a_picture_a_page_and_a_table(trained_vae, tmp_path, capsys):
    words = ["latent-map", trained_vae.run.path, "--points", "100", "--perplexity", "10"]
    code, out, err = run(capsys, *words, "--out", tmp_path / "a" / "map.html", "--json")
    assert code == 0, err
    content = json.loads(out)
    assert (content["points"], content["k"], content["latent_dim"], content["seed"]) == (100, 5, 4, 0)
    assert set(content["maps"]) == {"tsne", "pca"}
    assert content["maps"]["tsne"]["perplexity"] == 10
    for measured in content["maps"].values():
        assert all(0 <= measured[name] <= 1 for name in ("trustworthiness", "continuity", "knn_accuracy"))
    assert content["maps"]["tsne"]["trustworthiness"] > 0.8
    table = json.loads((tmp_path / "a" / "map.json").read_text())
    assert table["weights"] == trained_vae.digest
    assert np.shape(table["points_of_maps"]["tsne"]) == (100, 2)
    assert len(set(table["points_of_maps"]["index"])) == 100
    with Image.open(tmp_path / "a" / "map.png") as picture:
        assert picture.width > 2 * 640

    code, text, _ = run(capsys, *words, "--out", tmp_path / "b" / "map.html")
    assert "t-SNE: trustworthiness" in text
    assert "5-NN accuracy in the latents" in text
    for suffix in ("html", "png", "json"):
        assert (tmp_path / "a" / f"map.{suffix}").read_bytes() == (tmp_path / "b" / f"map.{suffix}").read_bytes()
    assert run(capsys, *words, "--out", tmp_path / "c.html", "--seed", "1")[0] == 0
    assert json.loads((tmp_path / "c.json").read_text())["points_of_maps"]["index"] != table["points_of_maps"]["index"]


@pytest.mark.long
def test_two_latents_are_mapped_as_they_are(two_latents, tmp_path, capsys):
    model = two_latents["autoencoder"]
    code, out, _ = run(capsys, "latent-map", model.run.path, "--color", "score", "--out", tmp_path / "map.html", "--json")
    assert code == 0
    content = json.loads(out)
    (measured,) = content["maps"].values()
    assert (measured["trustworthiness"], measured["continuity"]) == (1, 1)
    assert measured["knn_accuracy"] == content["latents_knn_accuracy"]
    stored = json.loads((tmp_path / "map.json").read_text())["points_of_maps"]
    expected = model.encode(model.dataset.test.batch(np.array(stored["index"])).images)
    np.testing.assert_allclose(stored["latents"], expected, rtol=1e-5)


def test_a_walk_decodes_quantiles_of_the_prior(two_latents):
    model = two_latents["vae"]
    quantiles = normal_quantiles(4)
    torch.testing.assert_close(torch.special.ndtr(quantiles), torch.tensor([0.125, 0.375, 0.625, 0.875]))
    images = walk(model, 4).images.unflatten(0, (4, 4))
    corner = model.decode(torch.stack([quantiles[:1], quantiles[-1:]], 1))
    torch.testing.assert_close(images[0, 0], corner[0])  # at the left, and at the top the largest second latent
    torch.testing.assert_close(images[3, 1], model.decode(torch.stack([quantiles[1:2], quantiles[:1]], 1))[0])


def test_a_walk_without_a_prior_spans_the_latents_of_validation_images(two_latents):
    model = two_latents["autoencoder"]
    latents = model.encode(model.dataset.validation.head(2000).images).double()
    low, high = (latents.quantile(end, 0) for end in (0.01, 0.99))
    images = walk(model, 3).images
    torch.testing.assert_close(images[4], model.decode(((low + high) / 2).float()[None])[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(images[2], model.decode(high.float()[None])[0], atol=1e-5, rtol=1e-4)


def test_a_walk_through_more_latents_lies_in_the_plane_of_principal_components(trained_vae, tmp_path, capsys):
    latents = trained_vae.encode(trained_vae.dataset.validation.head(2000).images).double()
    walked = walk(trained_vae, 3)
    torch.testing.assert_close(walked.images[4], trained_vae.decode(latents.mean(0).float()[None])[0], atol=1e-5, rtol=1e-4)
    code, out, _ = run(
        capsys, "latent-map", trained_vae.run.path, "--walk", "--steps", "3", "--out", tmp_path / "w.png", "--json"
    )
    assert code == 0
    content = json.loads(out)
    assert content["images"] == 9
    assert re.search(r"principal components \(\d+% of the variance of 4 latents\)", content["plane"])
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.width == picture.height


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--points", "5000"], "expected at most"),
        (["--points", "5"], "expected at least 11"),
        (["--points", "50", "--perplexity", "30"], "perplexity is 30, expected at most 16.33"),
        (["--method", "latents"], "expected at most 2"),
        (["--color", "clas"], "did you mean 'class'"),
        (["--color", "absent.csv:value"], "absent.csv"),
        (["--out", "map.png"], "map.png"),
        (["--walk", "--out", "map.html"], "map.html"),
        (["--walk", "--points", "30"], "--points does not apply with --walk"),
        (["--steps", "3"], "--steps does not apply without --walk"),
        (["--walk", "--label", "3"], "label"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_words(words, message, trained_vae, capsys):
    code, _, err = run(capsys, "latent-map", trained_vae.run.path, *words)
    assert code == 2
    assert message in err


def test_models_without_an_encoder_are_refused(tmp_path, capsys):
    model = simulacra.train(
        "gan", data="digits", duration="1", batch=32, hidden=(8,), threads=1, snapshots=1, out=tmp_path / "run"
    )
    code, _, err = run(capsys, "latent-map", model.run.path)
    assert code == 2
    assert "a latent space with an encoder" in err


@pytest.mark.long
def test_the_report_has_the_map_and_the_stored_t_sne_of_these_weights_alone(trained_vae, tmp_path, capsys):
    shutil.copytree(trained_vae.run.path, tmp_path / "run", ignore=shutil.ignore_patterns("images"))
    model = simulacra.open(tmp_path / "run")
    draw = applications.find("latent-map").section
    assert draw

    def figures():
        section = draw(model)
        assert section
        return [figure.label for figure in section.rows[0]]

    assert figures() == ["PCA"]
    assert run(capsys, "latent-map", tmp_path / "run", "--points", "60", "--perplexity", "5", "--method", "tsne")[0] == 0
    assert figures() == ["PCA", "t-SNE, from simulacra latent-map"]
    path = tmp_path / "run" / "images" / "latent_map_method-tsne_points-60_perplexity-5.0.json"
    path.write_text(path.read_text().replace(model.digest, "0" * 64))
    assert figures() == ["PCA"]
    path.write_text("{")
    assert figures() == ["PCA"]


def test_settings_of_the_walk_and_of_the_map_are_not_mixed():
    with pytest.raises(UsageError, match="--method does not apply with --walk"):
        LatentMapConfig(walk=True, method="pca")
