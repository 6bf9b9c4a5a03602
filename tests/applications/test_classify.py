"""The application `classify`: training, evaluation with baselines, predictions of files, and the section of the report."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import simulacra
from simulacra import applications
from simulacra.classification.evaluation import accuracy_of, over_splits
from simulacra.core.errors import NotApplicable
from simulacra.core.progress import SILENT
from simulacra.interfaces.cli import main
from simulacra.reports.run_page import write_report


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def result(capsys, *words):
    code, out, err = run(capsys, "classify", *words, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def copied(trained_vae, tmp_path):
    """A copy of the run of the small VAE, in which classifiers may be stored."""
    shutil.copytree(trained_vae.run.path, tmp_path / "run")
    return simulacra.open(tmp_path / "run")


@pytest.fixture
def folder(trained_vae, tmp_path):
    """A folder of the first four test images as PNG files, of which one is colour and larger, and a damaged file."""
    path = tmp_path / "mine"
    path.mkdir()
    for at in range(4):
        image = Image.fromarray(trained_vae.dataset.test.images[at][..., 0])
        (image.convert("RGB").resize((16, 16)) if at == 3 else image).save(path / f"{at}.png")
    (path / "broken.png").write_bytes(b"no image")
    return path


def test_train_stores_a_calibrated_classifier(copied, capsys):
    found = result(capsys, "train", copied.run.path, "--method", "probe", "--labels", "100")
    assert found["protocol"]["labelled_n"] == 100
    assert found["protocol"]["inputs"] == "4 latents"
    assert found["protocol"]["converged"]
    held = found["validation"]
    assert held["n"] == len(copied.dataset.validation)
    assert held["nll_nats"]["calibrated"] <= held["nll_nats"]["uncalibrated"]
    assert result(capsys, "train", copied.run.path, "--labels", "100")["temperature"] == found["temperature"]
    stored = json.loads((copied.run.classification / "classifier.json").read_text())
    assert stored["weights"] == copied.digest
    assert stored["classes"] == list(copied.spec.classes)


def test_predict_writes_file_class_and_probability(copied, folder, capsys, tmp_path):
    run(capsys, "classify", "train", copied.run.path)
    table, other = tmp_path / "new" / "classes.csv", tmp_path / "classes.json"
    code, out, err = run(capsys, "classify", "predict", copied.run.path, "--input", folder, "--out", table)
    assert code == 0, err
    assert "skipped broken.png: no image, or its header is damaged" in out
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0] == ["file", "class", "probability"]
    assert [row[0] for row in rows[1:]] == ["0.png", "1.png", "2.png", "3.png", "broken.png"]
    assert rows[-1] == ["broken.png", "", ""]
    found = result(capsys, "predict", copied.run.path, "--input", folder, "--out", other)
    assert found["images"] == json.loads(other.read_text())["images"]
    for row, item in zip(rows[1:5], found["images"], strict=True):
        assert row == [item["file"], item["class"], f"{item['probability']:.6f}"]
        assert 0.1 <= item["probability"] <= 1
    single = result(capsys, "predict", copied.run.path, "--input", folder / "2.png")
    assert single["images"][0]["probability"] == pytest.approx(found["images"][2]["probability"], rel=1e-5)
    assert Path(single["path"]).is_file()
    assert Path(single["path"]).name.startswith("classes_input-2.png-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict",), "no --input"),
        (("predict", "--input", "."), "has no classifier: train it"),
        (("predict", "--input", ".", "--out", "a.txt"), "written as .csv or .json"),
        (("train", "--labels", "some"), "--labels is 'some'"),
        (("train", "--labels", "3"), "at least 10"),
        (("train", "--method", "spreading"), "images without labels"),
        (("evaluate", "--method", "prob"), "did you mean 'probe'"),
        (("evaluate", "--labels", "all", "--method", "self-training"), "images without labels"),
        (("evaluate", "--out", "a.jpg"), "written as .png"),
    ],
)
def test_mistakes_are_usage_errors(words, message, copied, capsys):
    action, *rest = words
    code, _, err = run(capsys, "classify", action, copied.run.path, *rest)
    assert code == 2
    assert message in err


def test_a_folder_without_images_is_an_error(copied, capsys, tmp_path):
    run(capsys, "classify", "train", copied.run.path)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "bad.png").write_bytes(b"no image")
    code, _, err = run(capsys, "classify", "predict", copied.run.path, "--input", tmp_path / "none")
    assert code == 1
    assert "no image that can be used" in err


@pytest.mark.long
def test_evaluate_prints_every_baseline_with_the_same_labels(copied, capsys):
    words = ("evaluate", copied.run.path, "--labels", "50", "--splits", "2", "--steps", "3", "--method", "knn,fine-tune")
    found = result(capsys, *words)
    assert list(found["rows"])[:2] == ["knn", "fine-tune"]
    baselines = {name for name, row in found["rows"].items() if row["baseline"]}
    assert baselines == {"pixels_probe", "pixels_knn", "pca_probe", "pca_knn", "network_alone"}
    accuracy = found["metrics"]["knn_accuracy"]
    assert accuracy["n"] == len(copied.dataset.test)
    assert accuracy["protocol"]["labels"] == 50
    assert accuracy["protocol"]["splits"] == 2
    assert accuracy["interval"][0] < accuracy["value"] < accuracy["interval"][1]
    assert accuracy["protocol"]["interval"] == "t interval over 2 splits"
    assert set(found["metrics"]) == {
        *("knn_accuracy", "fine_tune_accuracy", "calibration_error", "calibration_error_uncalibrated")
    }
    assert found["metrics"]["calibration_error"]["protocol"]["bins"] == "15 of equal width"
    for row in found["rows"].values():
        confusion = torch.tensor(row["confusion"])
        assert confusion.sum() == 2 * len(copied.dataset.test)
        shares = confusion.diagonal().sum() / confusion.sum()
        assert shares.item() == pytest.approx(row["metrics"]["accuracy"]["value"], abs=1e-6)
    again = result(capsys, *words)
    assert again["rows"] == found["rows"]
    with Image.open(found["confusion_path"]) as image:
        assert image.size == (464, 464)
    _, out, _ = run(capsys, "classify", *words)
    assert "5 nearest neighbours, 64 pixel values (baseline)" in out


@pytest.mark.long
def test_label_spreading_is_compared_with_that_of_principal_components(copied, capsys):
    words = ("--labels", "50", "--splits", "1", "--steps", "2", "--method", "spreading,spreading")
    found = result(capsys, "evaluate", copied.run.path, *words)
    assert found["rows"]["pca_spreading"]["baseline"]
    assert found["rows"]["pca_spreading"]["metrics"]["accuracy"]["protocol"]["inputs"] == "4 principal components"
    assert found["rows"]["spreading"]["metrics"]["accuracy"]["protocol"]["nodes"] == len(copied.dataset.train)


def test_raw_pixels_with_all_labels_are_those_of_scikit_learn(copied, capsys):
    from sklearn.neighbors import KNeighborsClassifier

    result(capsys, "train", copied.run.path, "--method", "knn")
    found = result(capsys, "evaluate", copied.run.path, "--labels", "all", "--steps", "2", "--splits", "5", "--method", "knn")
    data = copied.dataset
    pixels = [np.asarray(split.images).reshape(len(split), -1).astype(np.float64) for split in (data.train, data.test)]
    reference = KNeighborsClassifier(5).fit(pixels[0], data.train.labels).predict(pixels[1])
    expected = (reference == data.test.labels).mean()
    row = found["rows"]["pixels_knn"]["metrics"]["accuracy"]
    assert row["value"] == pytest.approx(expected, abs=2 / len(data.test))  # equal distances may be ordered differently
    assert found["splits"] == 1
    assert row["protocol"]["interval"] == "Wilson, over test images"
    assert found["rows"]["stored"]["metrics"]["accuracy"]["value"] == found["metrics"]["knn_accuracy"]["value"]


@pytest.mark.long
def test_test_images_have_no_effect_on_what_is_fitted(copied):
    # planted: all test images are black and of class 0; temperature and classifier stay the same
    train = next(action for action in applications.find("classify").actions if action.name == "train")
    settings = train.settings.of({"labels": "50", "method": "spreading"})
    before = train.run(copied, settings, SILENT).content
    weights = next(copied.run.classification.glob("*.safetensors")).read_bytes()
    test = copied.dataset.test
    planted = replace(test, images=np.zeros_like(test.images), labels=np.zeros(len(test), np.int64))
    copied.dataset = replace(copied.dataset, test=planted)
    assert train.run(copied, settings, SILENT).content["temperature"] == before["temperature"]
    assert next(copied.run.classification.glob("*.safetensors")).read_bytes() == weights


def section_of(opened):
    section = applications.find("classify").section
    assert section is not None
    return section(opened)


@pytest.mark.long
def test_an_evaluation_is_a_section_of_the_report(copied, capsys):
    assert section_of(copied) is None
    result(capsys, "evaluate", copied.run.path, "--labels", "50", "--splits", "2", "--steps", "2", "--method", "probe")
    page = write_report(copied, SILENT).read_text()
    assert 'id="classification"' in page
    assert "linear probe: " in page
    assert "Confusion matrix of the linear probe" in page
    stored = copied.run.classification / "evaluation_50.json"
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "weights": "0"}))
    assert section_of(copied) is None
    stored.write_text("{")
    assert section_of(copied) is None


@pytest.mark.long
def test_features_of_a_denoiser_are_classified(tmp_path, cache, capsys):
    settings = {"features": (8, 8), "duration": "2", "batch": 16, "threads": 1, "out": tmp_path / "denoiser"}
    model = simulacra.train("flow", data="digits", group=4, **settings)
    found = result(capsys, "train", model.run.path, "--labels", "50", "--method", "probe")
    assert found["protocol"]["inputs"] == "128 denoiser features at time 0.1"
    result(capsys, "train", model.run.path, "--labels", "50", "--method", "fine-tune", "--steps", "2")


def test_a_model_without_features_is_refused(tmp_path, cache):
    model = simulacra.train("gan", data="digits", duration="1", batch=32, hidden=(8,), threads=1, out=tmp_path / "gan")
    with pytest.raises(NotApplicable, match="a latent space with an encoder or features of a denoiser"):
        applications.find("classify").require(model.model)


@pytest.mark.long
def test_the_classifier_of_the_model_is_a_row_with_a_note_on_its_labels(tmp_path, cache, capsys):
    model = simulacra.train("cvae", data="digits", duration="3", batch=32, hidden=(16,), threads=1, out=tmp_path / "cvae")
    found = result(capsys, "evaluate", model.run.path, "--labels", "50", "--splits", "2", "--steps", "2", "--method", "probe")
    assert "bayes_accuracy" in found["metrics"]
    assert found["rows"]["bayes"]["metrics"]["accuracy"]["protocol"]["labels"] == "all"
    assert any("was trained with all labels" in note for note in found["notes"])


def test_the_interval_over_splits_is_that_of_student():
    values = [0.45, 0.5, 0.5, 0.55]
    reach = 3.18244631 * np.std(values, ddof=1) / 2  # the 0.975 quantile of 3 degrees of freedom
    found = over_splits(values, 7, {})
    assert found.interval == pytest.approx((0.5 - reach, 0.5 + reach))
    assert over_splits([0.1, 0.9], 7, {}).interval == (0, 1)
    assert found.n == 7
    assert accuracy_of([0.5], 10, {}).interval == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert over_splits([0.5], 10, {}).interval is None
