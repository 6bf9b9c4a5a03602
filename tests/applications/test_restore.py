"""Restoring images: draws, mean, deviation and intervals; masks, own images, files, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.core.errors import DataError, UsageError
from simulacra.data.own.masks import known_pixels
from simulacra.degradations import parse
from simulacra.images.restorations import degraded_on_grey, restoration_table
from simulacra.images.table import colour_map, image_table
from simulacra.interfaces.cli import main

TINY = ["--for", "3", "--batch", "16", "--threads", "1", "--snapshots", "1", "--limit", "200", "--data", "digits"]
ARRAYS = {"truth", "degraded", "known", "mean", "deviation", "draws", "lower", "upper", "level", "factor", "calibrated"}


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def found(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def trained(factory, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(factory.mktemp("cache")))
        out = factory.mktemp("runs") / words[0]
        assert main(["train", *words, *TINY, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    """A diffusion model of the scanned digits of a few training steps."""
    return trained(tmp_path_factory, "diffusion", "--features", "8,8", "--sampling-steps", "3")


@pytest.fixture(scope="module")
def restorer(tmp_path_factory):
    """A restorer of the lower half and of noisy images, of a few training steps."""
    words = ["--degradation", "bottom,noise:0.1", "--features", "8", "--hidden", "16", "--latent-dim", "4"]
    return trained(tmp_path_factory, "restorer", *words)


@pytest.fixture
def photographs(tmp_path):
    """Three images, of which two have transparent pixels and one is no image."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, hidden in (("a.png", slice(0, 4)), ("more/b c.png", slice(2, 8))):
        pixels = random.integers(0, 256, (8, 8, 4), dtype=np.uint8)
        pixels[..., 3] = 255
        pixels[:, hidden, 3] = 0
        Image.fromarray(pixels).save(folder / name)
    Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / "whole.png")
    (folder / "torn.png").write_bytes(b"torn")
    return folder


# --- Python


@pytest.mark.parametrize("degradation", ["quadrants:1", "random-mask:0.5", "centre"])
def test_known_pixels_are_unchanged_and_draws_differ_elsewhere(diffusion, degradation):
    model = simulacra.open(diffusion)
    images = model.dataset.test.head(5).images
    restored = model.restore(images, degradation, draws=3, calibration_images=0)
    known = restored.known.expand_as(images)
    assert restored.draws.shape == (5, 3, *images.shape[1:])
    assert torch.equal(restored.degraded, images * restored.known)
    for draw in restored.draws.unbind(1):
        assert torch.equal(draw[known], images[known])
    assert (restored.draws[:, 0] != restored.draws[:, 1])[~known].float().mean() > 0.5
    assert not restored.deviation[known].any()
    assert (restored.deviation[~known] > 0).float().mean() > 0.5
    assert restored.truth is not None
    assert torch.equal(restored.truth, images)


def test_the_mean_is_that_of_the_draws_and_intervals_are_about_it(diffusion):
    model = simulacra.open(diffusion)
    restored = model.restore(model.dataset.test.head(4).images, "left", draws=5, level=0.8, calibration_images=0)
    torch.testing.assert_close(restored.mean, restored.draws.mean(1))
    torch.testing.assert_close(restored.deviation, restored.draws.std(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(restored.upper, (restored.mean + restored.factor * restored.deviation).clamp(0, 1))
    torch.testing.assert_close(restored.lower, (restored.mean - restored.factor * restored.deviation).clamp(0, 1))
    assert (restored.level, restored.calibrated) == (0.8, False)
    assert restored.factor == pytest.approx(1.2816, abs=1e-4)


def test_draws_depend_on_the_seed_the_image_and_their_number_only(diffusion):
    model = simulacra.open(diffusion)
    images = model.dataset.test.head(70).images
    settings: dict[str, Any] = {"degradation": "random-mask:0.5", "calibration_images": 0}
    many = model.restore(images, draws=2, seed=3, **settings)
    few = model.restore(images[:2], draws=4, seed=3, **settings)
    assert torch.equal(few.known, many.known[:2])
    torch.testing.assert_close(few.draws[:, :2], many.draws[:2], rtol=1e-4, atol=1e-4)
    other = model.restore(images[:2], draws=2, seed=4, **settings)
    assert not torch.equal(other.known, few.known)
    assert len({draw.numpy().tobytes() for draw in (*few.draws[0], *few.draws[1])}) == 8
    same = model.restore(images[:1].expand(2, -1, -1, -1), "bottom", draws=1, calibration_images=0)
    assert not torch.equal(same.draws[0], same.draws[1])  # of equal images with different numbers


def test_an_own_mask_is_a_tensor_for_all_images_or_one_for_each(diffusion):
    model = simulacra.open(diffusion)
    images = model.dataset.test.head(2).images
    known = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    each = model.restore(images, known=known, draws=2, calibration_images=0)
    assert torch.equal(each.known[:, 0], known)
    one = model.restore(images, known=known[0], draws=2, calibration_images=0)
    assert torch.equal(one.known[1, 0], known[0])
    torch.testing.assert_close(one.draws[0], each.draws[0], rtol=1e-4, atol=1e-4)
    for wrong in (known[:, :4], known.float(), known.repeat(2, 1, 1)):
        with pytest.raises(UsageError, match=r"expected torch\.bool"):
            model.restore(images, known=wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "name one, such as quadrants:1"),
        ({"degradation": "blur:1"}, "restores missing pixels only"),
        ({"degradation": "left", "known": torch.zeros(8, 8, dtype=torch.bool)}, "give one of them"),
        ({"known": torch.ones(8, 8, dtype=torch.bool)}, "nothing is missing"),
        ({"degradation": "left", "given": "degraded"}, "need a mask, transparent pixels"),
        ({"degradation": "left", "draws": 0}, "draws is 0, expected at least 1"),
        ({"degradation": "left", "level": 1.0}, "level is 1.0, expected"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_drawn(diffusion, monkeypatch, settings, message):
    model = simulacra.open(diffusion)
    monkeypatch.setattr(type(model.model), "restore", lambda *inputs: pytest.fail("the model was evaluated"))
    with pytest.raises(UsageError, match=message):
        model.restore(model.dataset.test.head(2).images, **settings)


def test_images_of_another_shape_are_refused(diffusion):
    with pytest.raises(UsageError, match="expected \\[n 1 8 8\\]"):
        simulacra.open(diffusion).restore(torch.zeros(1, 1, 9, 9), "left")


# --- calibration


@pytest.fixture
def _all_count(monkeypatch):
    """Let every hidden value with a deviation count: draws of an untrained model hardly differ."""
    monkeypatch.setattr("simulacra.metrics.restorations.conformal.LEAST_DEVIATION", 0.0)


@pytest.mark.long
@pytest.mark.usefixtures("_all_count")
def test_intervals_are_calibrated_once_for_weights_degradation_draws_and_level(capsys, restorer, tmp_path):
    shutil.copytree(restorer, tmp_path / "run")
    words = ["restore", tmp_path / "run", "--degradation", "bottom", "--draws", "4", "--level", "0.5"]
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    assert "validation images x 4 draws =" in err
    result = json.loads(out)
    assert result["calibrated"]
    (file,) = (tmp_path / "run" / "evaluation" / "calibrations").iterdir()
    stored = json.loads(file.read_text())
    assert stored["factor"] == result["factor"]
    assert {"degradation": "bottom", "draws": 4, "level": 0.5}.items() <= stored["identity"].items()
    code, out, err = run(capsys, *words, "--seed", "1", "--json")
    assert "calibrating" not in err
    assert json.loads(out)["factor"] == result["factor"]
    file.write_text(json.dumps({**stored, "identity": {**stored["identity"], "weights": "of another model"}}))
    assert "calibrating" in run(capsys, *words)[2]


@pytest.mark.long
@pytest.mark.usefixtures("_all_count")
def test_a_calibration_does_not_depend_on_the_seed_of_its_use(capsys, restorer, tmp_path):
    factors = []
    for seed in ("3", "4"):
        shutil.copytree(restorer, tmp_path / seed)
        words = ["restore", tmp_path / seed, "--degradation", "noise:0.2", "--draws", "4", "--count", "2", "--level", "0.5"]
        result = found(capsys, *words, "--seed", seed)
        assert result["calibrated"]
        factors.append(result["factor"])
    assert factors[0] == factors[1]


def test_the_expected_number_of_evaluations_is_announced(capsys, diffusion, tmp_path):
    shutil.copytree(diffusion, tmp_path / "run")
    words = ["restore", tmp_path / "run", "--degradation", "left", "--draws", "3", "--count", "2"]
    code, _, err = run(capsys, *words, "--calibration-images", "10")
    assert code == 0
    assert "10 validation images x 3 draws x 3 steps = 90 evaluations of the network" in err


def test_intervals_that_cannot_be_calibrated_are_uncalibrated_with_the_reason(capsys, diffusion, monkeypatch):
    words = ["restore", diffusion, "--degradation", "left", "--draws", "1", "--count", "2"]
    code, out, err = run(capsys, *words, "--json")
    assert code == 0
    assert "warning: the intervals are not calibrated: " in err
    assert not json.loads(out)["calibrated"]


# --- the command


def test_test_images_are_restored_into_a_table(capsys, diffusion):
    result = found(capsys, "restore", diffusion, "--degradation", "quadrants:1", "--draws", "2", "--calibration-images", "0")
    assert {"count": 8, "draws": 2, "degradation": "quadrants:1", "level": 0.9, "calibrated": False}.items() <= result.items()
    assert 0 < result["psnr_db"] < 40
    assert result["diversity"] > 0
    with Image.open(result["path"]) as picture:
        assert picture.mode == "RGB"
        assert picture.height > 8 * 56
        assert picture.width > 6 * 56


def test_arrays_hold_what_python_returns(capsys, restorer):
    words = ["restore", restorer, "--draws", "3", "--count", "70", "--degradation", "bottom", "--calibration-images", "0"]
    result = found(capsys, *words, "--out", "restored.npz")
    arrays = np.load("restored.npz", allow_pickle=False)
    assert set(arrays) == ARRAYS
    truth = torch.from_numpy(arrays["truth"]).permute(0, 3, 1, 2)
    restored = simulacra.open(restorer).restore(truth, "bottom", draws=3, calibration_images=0)
    for name in ARRAYS - {"known", "level", "factor", "calibrated", "draws"}:
        np.testing.assert_allclose(arrays[name], getattr(restored, name).permute(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(arrays["draws"], restored.draws.permute(0, 1, 3, 4, 2), atol=1e-5)
    assert np.array_equal(arrays["known"], restored.known[:, 0])
    assert (arrays["level"], arrays["factor"], arrays["calibrated"]) == (0.9, result["factor"], False)
    assert not list(Path().glob(".restored*"))  # temporary files


def test_a_restorer_takes_its_own_degradations_and_warns_of_others(capsys, restorer):
    words = ["restore", restorer, "--draws", "2", "--count", "2", "--calibration-images", "0"]
    assert found(capsys, *words)["degradation"] == "bottom,noise:0.1"
    code, _, err = run(capsys, *words, "--degradation", "blur:1")
    assert code == 0
    assert "warning: this Restorer was trained on bottom, noise:0.1, not on blur:1" in err
    assert "warning" not in run(capsys, *words, "--degradation", "noise:0.1")[2]


def test_own_images_are_degraded_and_written_into_a_folder_each(capsys, diffusion, photographs):
    words = ["restore", diffusion, "--input", photographs, "--degradation", "left", "--draws", "2", "--calibration-images", "0"]
    result = found(capsys, *words, "--out", "restored")
    assert (result["count"], result["unused"]) == (3, 0)
    assert len(result["skipped"]) == 1
    assert sorted(path.name for path in Path("restored").iterdir()) == ["0_a", "1_b-c", "2_whole"]
    files = {path.stem for path in Path("restored/1_b-c").iterdir()}
    assert files == {"original", "degraded", "mean", "deviation", "lower", "upper", "draw_1", "draw_2"}
    with Image.open("restored/2_whole/original.png") as ours, Image.open(photographs / "whole.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert run(capsys, *words, "--out", "restored")[0] == 2


def test_transparent_pixels_of_damaged_images_are_restored(capsys, diffusion, photographs):
    words = ["restore", diffusion, "--input", photographs, "--given", "degraded", "--draws", "2", "--calibration-images", "0"]
    result = found(capsys, *words, "--out", "repaired.npz")
    arrays = np.load("repaired.npz", allow_pickle=False)
    assert set(arrays) == ARRAYS - {"truth"}
    assert "psnr_db" not in result
    assert arrays["known"][0, :, 4:].all()
    assert not arrays["known"][0, :, :4].any()
    assert arrays["known"][2].all()
    with Image.open(photographs / "whole.png") as theirs:
        assert np.array_equal(np.rint(255 * arrays["mean"][2, ..., 0]), np.asarray(theirs))


@pytest.mark.long
def test_damaged_images_need_something_that_is_missing_or_a_degradation(capsys, diffusion, restorer, photographs):
    whole = ["--input", photographs / "whole.png", "--given", "degraded", "--draws", "2", "--calibration-images", "0"]
    for model, words in ((diffusion, []), (diffusion, ["--degradation", "left"]), (restorer, [])):
        code, _, err = run(capsys, "restore", model, *whole, *words)
        assert code == 2
        assert "need a mask, transparent pixels, or the name of a degradation" in err
    result = found(capsys, "restore", restorer, *whole, "--degradation", "noise:0.1", "--out", "noisy.npz")
    arrays = np.load("noisy.npz", allow_pickle=False)
    assert not arrays["known"].any()
    assert result["degradation"] == "already degraded"
    code, _, err = run(capsys, "restore", diffusion, "--degradation", "left", "--given", "degraded")
    assert code == 2
    assert "--input" in err


# --- masks


@pytest.mark.long
def test_a_mask_of_ones_own_is_an_image_file(capsys, diffusion, trained_vae):
    words = ["restore", diffusion, "--draws", "2", "--count", "2", "--calibration-images", "0", "--mask"]
    Image.fromarray(np.tile(np.array([0, 255] * 4, np.uint8), (8, 1))).save("stripes.png")
    assert found(capsys, *words, "stripes.png", "--out", "striped.npz")["degradation"].startswith("mask:")
    known = np.load("striped.npz", allow_pickle=False)["known"]
    assert not known[:, :, ::2].any()
    assert known[:, :, 1::2].all()
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("white.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("small.png")
    Path("text.png").write_text("no image")
    for file, exit_code, message in (
        ("white.png", 1, "white.png marks every pixel as known"),
        ("small.png", 1, "4x4 pixels, expected 8x8"),
        ("text.png", 1, "cannot be read as an image"),
        ("bottom", 2, "name a part of the image with --degradation"),
    ):
        code, _, err = run(capsys, *words, file)
        assert code == exit_code
        assert message in err
    code, _, err = run(capsys, *words, "stripes.png", "--degradation", "left")
    assert code == 2
    assert "give one of them" in err
    code, _, err = run(capsys, "restore", trained_vae.run.path, "--degradation", "left")
    assert code == 2
    assert "VAE" in err


def test_transparent_pixels_of_masks_are_missing_and_16_bits_are_understood(diffusion):
    spec = simulacra.open(diffusion).spec
    half = np.zeros((8, 8, 4), np.uint8)
    half[..., :3], half[:4, :, 3] = 255, 255
    bottom = parse("bottom").apply(torch.ones(1, 1, 8, 8), lambda *shape: pytest.fail("nothing is drawn")).known[0, 0] > 0
    Image.fromarray(half).save("alpha.png")
    assert torch.equal(known_pixels(Path("alpha.png"), spec), bottom)
    Image.fromarray(half[..., 3].astype(np.uint16) * 257).save("deep.png")
    assert torch.equal(known_pixels(Path("deep.png"), spec), bottom)
    Image.fromarray(half[..., 3].astype(np.float32) / 255).save("floats.tif")
    assert torch.equal(known_pixels(Path("floats.tif"), spec), bottom)
    Path("empty.png").touch()
    with pytest.raises(DataError, match="cannot be read"):
        known_pixels(Path("empty.png"), spec)


def test_a_mask_of_zeros_and_ones_is_refused_instead_of_hiding_every_pixel(diffusion):
    Image.fromarray(np.eye(8, dtype=np.uint8)).save("ones.png")
    with pytest.raises(DataError, match=r"ones.png marks no pixel as known, its brightest has 1 of 255: .* at least 128"):
        known_pixels(Path("ones.png"), simulacra.open(diffusion).spec)


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--degradation", "botom"], "'bottom'"),
        (["--degradation", "quadrants:4"], "expected 1, 2 or 3"),
        (["--degradation", "noise:0.1"], "restores missing pixels only, and noise:0.1 changes the others"),
        ([], "name one, such as quadrants:1"),
        (["--degradation", "left", "--out", "image.jpg"], "image.jpg"),
        (["--degradation", "left", "--count", "65"], "at most 64 images of 65: give an .npz file or a folder"),
        (["--degradation", "left", "--input", "nowhere"], "nowhere"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_drawn(capsys, diffusion, monkeypatch, words, message):
    from simulacra.families.diffusion import Diffusion

    monkeypatch.setattr(Diffusion, "restore", lambda *inputs: pytest.fail("the model was evaluated"))
    code, _, err = run(capsys, "restore", diffusion, *words)
    assert code == (1 if "--input" in words else 2)
    assert message in err


# --- pictures


def test_missing_pixels_are_grey_in_tables_and_dark_pixels_of_blurred_images_are_not(diffusion):
    model = simulacra.open(diffusion)
    images = model.dataset.test.head(2).images
    restored = model.restore(images, "top", draws=1, calibration_images=0)
    assert (degraded_on_grey(restored)[:, :, :4] == 0.5).all()
    assert torch.equal(degraded_on_grey(restored)[:, :, 4:], images[:, :, 4:])
    blurred = model.restore(images, known=torch.zeros(8, 8, dtype=torch.bool), draws=1, calibration_images=0)
    object.__setattr__(blurred, "degraded", images)
    assert torch.equal(degraded_on_grey(blurred), images)
    assert restoration_table(restored).width < restoration_table(model.restore(images, "top", 4, calibration_images=0)).width


def test_colours_of_numbers_get_lighter():
    colours = colour_map(torch.linspace(0, 0.5, 40)[None, None], 0.5)[0, :, 0]
    luminance = (torch.tensor([0.299, 0.587, 0.114])[:, None] * colours).sum(0)
    assert (luminance.diff() > 0).all()
    assert not colours[:, 0].any()
    assert torch.equal(colour_map(torch.tensor([[[2.0]]]), 0.5)[0, :, 0, 0], colours[:, -1])


def test_a_table_of_grey_columns_is_grey_and_holds_the_pixels():
    image = torch.rand(2, 1, 60, 60, generator=torch.Generator().manual_seed(0))
    table = image_table([("first", image), ("second", image.flip(0))])
    assert table.mode == "L"
    pixels = (image * 255).round().byte().numpy()
    assert pixels[0, 0].tobytes() in {np.asarray(table)[top : top + 60, 6:66].tobytes() for top in range(table.height - 60)}


@pytest.mark.long
def test_the_report_has_a_table_of_restorations(diffusion, restorer, tmp_path):
    for path, words in ((diffusion, "degraded by quadrants:1"), (restorer, "degraded as in the training")):
        shutil.copytree(path, tmp_path / path.name)
        page = simulacra.open(tmp_path / path.name).report().read_text()
        assert 'id="restorations"' in page
        assert words in page
