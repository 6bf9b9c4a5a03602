"""A run of a model of degraded images: restorations during training, its report and its evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from PIL import Image

import simulacra
from simulacra.core.errors import NotApplicable
from simulacra.images.grid import GAP, row_height
from simulacra.interfaces.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was trained for a few steps."""
    path = tmp_path_factory.mktemp("restorer") / "run"
    words = ["--data", "digits", "--for", "6", "--snapshots", "2", "--threads", "1", "--features", "8,8", "--hidden", "16"]
    assert main(["train", "restorer", "--degradation", "quadrants:1,quadrants:2", *words, "--out", str(path)]) == 0
    return path


def rows_of(path: Path) -> list[np.ndarray]:
    height = row_height(8, 8)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return [pixels[top : top + height] for top in range(0, len(pixels), height + GAP)]


def test_training_saves_degraded_images_three_draws_and_the_originals(run: Path) -> None:
    saved = sorted((run / "restorations").glob("*.png"))
    assert [path.stem for path in saved] == ["step_00000000", "step_00000003", "step_00000006"]
    first, last = (rows_of(path) for path in (saved[0], saved[-1]))
    assert len(first) == len(last) == 5
    assert np.array_equal(first[0], last[0])
    assert np.array_equal(first[4], last[4])
    for draw in (1, 2, 3):
        assert not np.array_equal(first[draw], last[draw])
    assert not np.array_equal(last[1], last[2])
    missing = first[0] == round(0.5 * 255)
    assert missing.mean() > 0.4  # half or three quarters of each image
    for row in (*first[1:], *last[1:]):
        assert np.array_equal(row[~missing], first[0][~missing])


def test_the_report_shows_them(run: Path) -> None:
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "degraded validation images" in page
    assert page.count('alt="Degraded"') == page.count('alt="Original"') == 1


def test_the_evaluation_measures_the_conditional_likelihood(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--metrics", "conditional_likelihood,elbo", "--particles", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert {"conditional_bound_nats", "conditional_nll_nats", "rate_nats", "distortion_nats"} <= set(found)
    bound = found["conditional_bound_nats"]
    assert bound["value"] > bound["protocol"]["floor_nats"] > 0
    assert bound["protocol"]["target"].startswith("hidden pixels given the degraded image (quadrants:1,quadrants:2)")
    assert "negative_elbo_nats" not in found


def test_the_conditional_likelihood_is_that_of_the_chosen_degradation(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floors = {}
    for count in (1, 2, 3):
        capsys.readouterr()
        words = ["--metrics", "conditional_likelihood", "--particles", "1", "--degradation", f"quadrants:{count}"]
        assert main(["evaluate", str(run), *words, "--json"]) == 0
        bound = json.loads(capsys.readouterr().out)["metrics"]["conditional_bound_nats"]
        assert bound["protocol"]["degradation"] == f"quadrants:{count}"
        floors[count] = bound["protocol"]["floor_nats"]
    images = simulacra.load_data("digits").test.images[..., 0] / 255
    entropy = scipy.special.entr(images) + scipy.special.entr(1 - images)
    lower, right = slice(4, 8), slice(4, 8)
    known = {1: entropy[:, lower, :4], 2: entropy[:, :, :4]}
    for count, pixels in known.items():
        assert floors[count] == pytest.approx((entropy.sum() - pixels.sum()) / len(images), rel=1e-4)
    assert floors[3] == pytest.approx(entropy[:, lower, right].sum() / len(images), rel=1e-4)


def test_it_does_not_sample(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(run)]) == NotApplicable.exit_code
    assert "sample is not applicable to Restorer: it needs a generator of images from noise" in capsys.readouterr().err
