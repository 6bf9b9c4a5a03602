"""Latents and scores of single images, as files."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.images.grid import to_bytes
from simulacra.interfaces.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    code = main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    found: dict[str, Any] = json.loads(captured.out)
    return found


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def latent_of(line: dict[str, str]) -> torch.Tensor:
    return torch.tensor([float(line[f"z{column}"]) for column in range(4)])


@pytest.fixture
def photos(trained_vae: simulacra.Model, tmp_path: Path) -> Path:
    """Return a folder of five test images in two sub-folders, and a file that is no image."""
    folder = tmp_path / "photos"
    for index, pixels in enumerate(to_bytes(trained_vae.dataset.test.head(5).images)):
        place = folder / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).save(place / f"{index}.png")
    (folder / "a" / "broken.png").write_text("no image")
    return folder


def test_latents_of_a_split_are_those_of_python(
    trained_vae: simulacra.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = trained_vae.dataset.test
    found = run(capsys, "encode", trained_vae.run.path, "--out", tmp_path / "latents.npz")
    assert (found["count"], found["latent_dim"]) == (len(test), 4)
    with np.load(tmp_path / "latents.npz", allow_pickle=False) as stored:
        expected = trained_vae.encode(test.head(len(test)).images).numpy()
        np.testing.assert_allclose(stored["latents"], expected, rtol=1e-5, atol=1e-5)
        assert stored["latents"].dtype == np.float32
        assert test.labels is not None
        assert np.array_equal(stored["labels"], test.labels)
        assert stored["label_names"].tolist() == [str(label) for label in stored["labels"]]
        assert len(set(stored["names"].tolist())) == len(test)
    run(capsys, "encode", trained_vae.run.path, "--split", "validation", "--count", 7, "--out", tmp_path / "latents.csv")
    lines = lines_of(tmp_path / "latents.csv")
    assert list(lines[0]) == ["file", "label", "z0", "z1", "z2", "z3"]
    seven = trained_vae.encode(trained_vae.dataset.validation.head(7).images)
    torch.testing.assert_close(torch.stack([latent_of(line) for line in lines]), seven)


def test_latents_of_files_have_their_names(
    trained_vae: simulacra.Model, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "encode", trained_vae.run.path, "--input", photos, "--out", tmp_path / "own.csv")
    assert (found["count"], len(found["skipped"])) == (5, 1)
    lines = {line["file"]: line for line in lines_of(tmp_path / "own.csv")}
    assert sorted(lines) == ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png"]
    expected = trained_vae.encode(trained_vae.dataset.test.head(5).images)
    for index in range(5):
        torch.testing.assert_close(latent_of(lines[f"{'ab'[index % 2]}/{index}.png"]), expected[index])


def test_an_autoencoder_is_encoded_into_the_run_by_default(
    trained_autoencoder: simulacra.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "encode", trained_autoencoder.run.path, "--count", 3)
    assert Path(found["path"]) == trained_autoencoder.run.images / "latents_count-3.npz"
    assert Path(found["path"]).is_file()


@pytest.mark.long
def test_latents_of_a_sampler_that_is_inverted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small: dict[str, Any] = {"features": (4, 4), "duration": "2", "batch": 32, "threads": 1, "snapshots": 1, "conditional": True}
    model = simulacra.train("flow", data="digits", out=tmp_path / "flow", **small)
    found = run(capsys, "encode", model.run.path, "--count", 2, "--out", tmp_path / "noise.npz")
    assert (found["latent_dim"], found["prior"]) == (64, "standard normal")


def test_scores_of_single_images_average_to_those_of_the_evaluation(
    trained_vae: simulacra.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "scores", trained_vae.run.path, "--particles", 2, "--out", tmp_path / "scores.csv")
    lines = lines_of(tmp_path / "scores.csv")
    assert len(lines) == found["count"] == len(trained_vae.dataset.test)
    metrics = trained_vae.evaluate(metrics="reconstruction,elbo,nll", samples=0, particles=2)["metrics"]
    for name in ("mse", "psnr_db", "negative_elbo_nats", "nll_nats"):
        mean = np.mean([float(line[name]) for line in lines])
        assert mean == pytest.approx(metrics[name]["value"], rel=1e-5)
    labels = trained_vae.dataset.test.labels
    assert labels is not None
    assert [line["label"] for line in lines] == [str(label) for label in labels.tolist()]


def test_scores_of_files_are_those_of_their_images(
    trained_autoencoder: simulacra.Model, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "scores", trained_autoencoder.run.path, "--input", photos, "--out", tmp_path / "scores.json")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert len(content["skipped"]) == 1
    images = trained_autoencoder.dataset.test.head(5).images
    errors = (trained_autoencoder.reconstruct(images) - images).square().flatten(1).mean(1)
    for item in content["images"]:
        assert item["mse"] == pytest.approx(float(errors[int(Path(item["file"]).stem)]), rel=1e-4)
    assert main(["scores", str(trained_autoencoder.run.path), "--particles", "5"]) == 2
