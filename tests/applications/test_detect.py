"""The application detect: calibration, scores of files, evaluation against anomalies, and what test images cannot change."""

import csv
import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra.anomaly.anomalies import CORRUPTIONS, anomalies
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import SILENT
from simulacra.interfaces.cli import main
from simulacra.reports.run_page import write_report


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def result(capsys, *words):
    code, out, err = run(capsys, "detect", *words, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """An autoencoder of the digits 0 to 6; do not change its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = tmp_path_factory.mktemp("runs") / "some"
        settings: dict[str, Any] = {
            "latent_dim": 8,
            "network": "dense",
            "hidden": (64,),
            "lr": 3e-3,
            "batch": 64,
            "snapshots": 1,
            "threads": 1,
        }
        return simulacra.train("autoencoder", only_classes="0,1,2,3,4,5,6", validation=0.2, duration="15ep", out=out, **settings)


@pytest.fixture
def path(trained, tmp_path):
    """A copy of the run."""
    shutil.copytree(trained.run.path, tmp_path / "run")
    return tmp_path / "run"


def save(images, folder):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / f"{number:02d}.png")


# --- calibrate


def test_a_calibration_is_stored_with_its_interval(path, capsys):
    found = result(capsys, "calibrate", path, "--false-positive-rate", "0.05")
    content = json.loads((path / "detection" / "calibration_neighbours.json").read_text())
    assert found["threshold"] == content["threshold"]
    assert found["calibration_images"] == len(content["validation_scores"]) == len(simulacra.open(path).dataset.validation)
    low, high = found["true_rate_interval"]
    assert low < 0.05 < high
    code, out, _ = run(capsys, "detect", "calibrate", path, "--score", "reconstruction")
    assert code == 0
    assert "95 % interval" in out


def test_a_rate_that_is_too_small_is_refused_with_the_number_needed(path, capsys):
    code, _, err = run(capsys, "detect", "calibrate", path, "--false-positive-rate", "0.001")
    assert code == 2
    assert "at least 999 held-out normal images" in err
    assert not (path / "detection").exists()


def test_a_test_image_does_not_change_the_threshold(trained, path, capsys):
    before = result(capsys, "calibrate", path, "--score", "pca")
    data = trained.dataset
    noise = np.random.default_rng(0).integers(0, 256, data.test.images.shape, dtype=np.uint8)
    planted = simulacra.open(path, dataset=replace(data, test=replace(data.test, images=noise)))
    from simulacra.anomaly.calibration import validation_scores
    from simulacra.anomaly.scores import find

    after = validation_scores(planted, find("pca", planted.model).fit(planted, SILENT), 0.01, SILENT)
    assert after.threshold == before["threshold"]


# --- score


@pytest.fixture
def folder(path, tmp_path):
    """Five normal test images, two anomalous ones and a file that is no image."""
    images = np.concatenate([simulacra.open(path).dataset.test.images[:5], np.full((1, 8, 8, 1), 255, np.uint8)])
    images = np.concatenate([images, np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)])
    save(images, tmp_path / "mine")
    (tmp_path / "mine" / "broken.png").write_bytes(b"no image")
    return tmp_path / "mine"


def test_scores_are_listed_for_each_file(path, folder, tmp_path, capsys):
    table = tmp_path / "scores.csv"
    words = [
        "score",
        path,
        "--input",
        folder,
        "--out",
        table,
        "--heat-maps",
        tmp_path / "maps",
        "--gallery",
        tmp_path / "all.png",
    ]
    code, out, err = run(capsys, "detect", *words)
    assert code == 0, err
    assert "not calibrated" in err
    assert "skipped 1 file" in out
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [*(f"{number:02d}.png" for number in range(7)), "broken.png"]
    assert rows[-1]["verdict"] == "unreadable"
    assert rows[-1]["problem"]
    assert [row["verdict"] for row in rows[5:7]] == ["anomalous"] * 2
    for row in rows[:7]:
        assert (row["verdict"] == "anomalous") == (float(row["p_value"]) <= 0.01)
    assert len(list((tmp_path / "maps").glob("*.png"))) == 7
    with Image.open(tmp_path / "all.png") as image:
        assert image.size[0] > 7 * 8


def test_two_calls_and_single_images_have_the_same_scores(path, folder, tmp_path, capsys):
    found = [result(capsys, "score", path, "--input", folder)["images"] for _ in range(2)]
    assert found[0] == found[1]
    single = result(capsys, "score", path, "--input", folder / "03.png")["images"]
    assert single[0]["score"] == pytest.approx(found[0][3]["score"], rel=1e-6)
    assert single[0]["verdict"] == found[0][3]["verdict"]
    result(capsys, "score", path, "--input", folder, "--out", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["images"] == found[0]


def test_wrong_outputs_and_inputs_are_refused(path, folder, tmp_path, capsys):
    for words, message in (
        ([], "no --input"),
        (["--input", folder, "--out", "scores.txt"], ".csv or .json"),
        (["--input", folder, "--score", "features", "--heat-maps", "maps"], "has no heat maps"),
        (["--input", folder, "--heat-maps", folder], "choose another --heat-maps"),
    ):
        code, _, err = run(capsys, "detect", "score", path, *words)
        assert code == 2
        assert message in err
    (tmp_path / "empty").mkdir()
    assert run(capsys, "detect", "score", path, "--input", tmp_path / "empty")[0] == 1


# --- evaluate


def test_an_evaluation_has_all_numbers_for_each_kind(path, capsys):
    found = result(capsys, "evaluate", path, "--anomalies", "noise,cutout,other-class", "--count", "60")
    for numbers in (found["metrics"], *found["baselines"].values()):
        assert list(numbers) == ["noise", "cutout", "other-class"]
        for kind, row in numbers.items():
            assert {"auroc", "aupr", "true_positive_rate", "false_positive_rate"} <= set(row)
            assert ("pixel_auroc" in row) == (kind == "cutout" and row["auroc"]["protocol"]["score"] != "pixel-neighbours")
            for item in row.values():
                assert {"value", "n", "protocol"} <= set(item)
                assert "interval" in item
    assert list(found["baselines"]) == ["pca", "pixel-neighbours", "patches"]
    assert found["metrics"]["other-class"]["auroc"]["value"] > 0.8
    with Image.open(found["mistakes"]) as image:
        assert image.size[0] > 100
    code, out, _ = run(capsys, "detect", "evaluate", path, "--anomalies", "noise", "--count", "60")
    assert code == 0
    assert out.splitlines()[1].split() == ["anomalies", "neighbours", "pca", "pixel-neighbours"]
    page = write_report(simulacra.open(path)).read_text()
    assert 'id="anomaly-detection"' in page
    assert "noise: AUROC" in page


def test_a_run_without_an_evaluation_has_no_section(path):
    assert "anomaly-detection" not in write_report(simulacra.open(path)).read_text()


def test_corruptions_are_a_function_of_the_image_number(trained):
    test = trained.dataset.test.images
    for kind in CORRUPTIONS:
        found, fewer = (anomalies(trained, kind, count, "", SILENT) for count in (20, 5))
        assert torch.equal(found.images[:5], fewer.images)
        assert found.images.shape == (20, 1, 8, 8)
        assert 0 <= found.images.min() <= found.images.max() <= 1
        changed = found.images[:, 0] != torch.from_numpy(test[:20, ..., 0]).float() / 255
        if found.masks is not None:
            assert torch.equal(found.masks, changed)
        assert changed.flatten(1).any(1).float().mean() > 0.8


def test_other_classes_are_the_test_images_that_were_not_trained_on(trained, trained_autoencoder):
    whole = simulacra.load_data("digits").test
    assert whole.labels is not None
    expected = whole.images[np.isin(whole.labels, (7, 8, 9))]
    found = anomalies(trained, "other-class", 0, "", SILENT).images
    assert np.array_equal((found.permute(0, 2, 3, 1) * 255).round().numpy().astype(np.uint8), expected)
    with pytest.raises(UsageError, match="--only-classes"):
        anomalies(trained_autoencoder, "other-class", 0, "", SILENT)


def test_masks_without_a_folder_of_ones_own_are_refused(path, capsys):
    assert main(["detect", "evaluate", str(path), "--anomalies", "noise", "--masks", "masks"]) == 2
    assert "--masks masks is for a folder of your own in --anomalies, and there is none" in capsys.readouterr().err


@pytest.mark.long
def test_a_folder_of_ones_own_may_have_masks(path, folder, tmp_path, capsys):
    (folder / "broken.png").unlink()
    masks = np.zeros((7, 8, 8, 1), np.uint8)
    masks[:, :4] = 255
    save(masks, tmp_path / "masks")
    found = result(capsys, "evaluate", path, "--anomalies", folder, "--masks", tmp_path / "masks")
    assert found["metrics"]["mine"]["pixel_auroc"]["protocol"]["pixels_inside"] == 7 * 32
    (tmp_path / "masks" / "03.png").unlink()
    with pytest.raises(DataError, match=r"1 of 7 images have no mask .* 03\.png"):
        anomalies(simulacra.open(path), str(folder), 0, str(tmp_path / "masks"), SILENT)


@pytest.mark.long
def test_another_data_set_is_fitted_to_the_model(trained):
    found = anomalies(trained, "textures", 7, "", SILENT)
    assert found.images.shape == (7, 1, 8, 8)
    defects = anomalies(trained, "digits-inverted", 7, "", SILENT)
    assert defects.images.shape == (7, 1, 8, 8)


def test_defects_have_masks_of_the_size_of_the_model(trained_autoencoder):
    found = anomalies(trained_autoencoder, "textures-defects", 12, "", SILENT)
    assert found.masks is not None
    assert found.images.shape == (12, 1, 8, 8)
    assert found.masks.shape == (12, 8, 8)


def test_unknown_kinds_name_the_nearest(trained):
    with pytest.raises(UsageError, match="did you mean 'rotation'"):
        anomalies(trained, "rotatoin", 0, "", SILENT)


def test_a_kind_that_is_named_twice_is_refused(path, capsys):
    code, _, err = run(capsys, "detect", "evaluate", path, "--anomalies", "noise,noise")
    assert code == 2
    assert "names a kind twice" in err


@pytest.mark.long
def test_a_damaged_evaluation_is_stated_in_the_report(path):
    (path / "detection").mkdir()
    (path / "detection" / "evaluation_pca.json").write_text('{"metrics": {}, "baselines": {}}')
    assert "stored evaluation is damaged" in write_report(simulacra.open(path)).read_text()


def test_scores_are_available_in_python(path, folder, capsys):
    model = simulacra.open(path)
    images = model.dataset.test.head(3).images
    values = model.anomaly_scores(images)
    found = result(capsys, "score", path, "--input", folder)["images"]
    assert values.dtype == torch.float64
    assert values[:3].tolist() == pytest.approx([line["score"] for line in found[:3]], rel=1e-6)
