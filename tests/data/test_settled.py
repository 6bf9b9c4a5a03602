"""Sizes, fits, levels and frames: settings that decide how image files become images of one shape."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.formats.test_colour import linear_profile
from tests.data.formats.test_pixels import turned

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT
from simulacra.data.check import check
from simulacra.data.load import load, load_settled, named_images
from simulacra.data.own.own_images import own_images
from simulacra.data.preparation.prepared import place
from simulacra.data.settings import DataConfig
from simulacra.data.sources import locate
from simulacra.runs.provenance import provenance


def scans(folder, high=4095, count=12):
    """Write 16-bit images whose values are 0 to `high`."""
    folder.mkdir()
    for at in range(count):
        values = np.random.default_rng(at).integers(0, high + 1, (8, 8))
        values[0, :2] = 0, high
        Image.fromarray(values.astype(np.uint16)).save(folder / f"{at}.png")
    return folder


def findings(path, **settings):
    return {finding.kind: finding for finding in check(DataConfig(data=str(path), **settings)).findings}


@pytest.mark.parametrize(
    ("given", "size", "shape"),
    [(64, 64, (64, 64)), ("48x64", "48x64", (48, 64)), ("32x32", 32, (32, 32)), ((8, 9), "8x9", (8, 9)), (0, 0, None)],
)
def test_a_size_is_a_number_or_height_and_width(given, size, shape):
    config = DataConfig(size=given)
    assert (config.size, config.shape) == (size, shape)
    assert DataConfig.of(config.table()) == config


@pytest.mark.parametrize("size", ["wide", "0x8", "8x", "3x4x5", -1, 2.5])
def test_other_sizes_are_refused(size):
    with pytest.raises(UsageError, match="size is "):
        DataConfig(size=size)


@pytest.mark.parametrize("levels", ["12", "9..3", "a..b", "0..inf", "13bit"])
def test_other_levels_are_refused(levels):
    with pytest.raises(UsageError, match=r"--levels is .*, expected 10bit, 12bit, 14bit, LOW..HIGH"):
        DataConfig(levels=levels)


@pytest.mark.parametrize("form", ["folder", "pictures.tar", "pictures.tgz", "pictures.zip", "shards/train-000000.tar"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("how", ["exif", "late"])
def test_turned_images_have_their_upright_size_in_folders_archives_and_shards(form, kind, how, make_folder, make_archive):
    files = {f"{at:02d}.{kind.lower()}": turned(kind, 6, how) for at in range(12)}
    path = make_folder(files) if form == "folder" else make_archive(form)(files, form)
    data = load(DataConfig(data=str(path.parent if form.startswith("shards") else path)))
    assert data.spec.shape == (3, 7, 5)
    assert data.skipped.total == 0
    assert sum(len(split) for split in data.splits) == 12
    material = locate(DataConfig(data=str(path.parent if form.startswith("shards") else path)))
    assert material.sizes is not None
    assert dict(material.sizes(SILENT)) == {(7, 5): 12}


def test_frames_are_refused_for_arrays_and_shards(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((9, 8, 8), np.uint8))
    with pytest.raises(UsageError, match="--frames is for folders and archives of images"):
        load(DataConfig(data=str(tmp_path / "images.npy"), frames=True))


def test_fit_and_levels_are_part_of_the_digest(make_folder, make_picture):
    folder = str(make_folder({f"{at}.png": make_picture(at, (12, 20)) for at in range(5)}))
    settings: list[dict[str, Any]] = [{}, {"fit": "pad"}, {"fit": "squash"}, {"levels": "12bit"}]
    assert len({load(DataConfig(data=folder, size=8, **changed)).digest for changed in settings}) == 4
    assert load(DataConfig(data=folder, size=8)).digest == load(DataConfig(data=folder, size=9)).digest


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_images_of_ones_own_are_fitted_as_those_of_the_training(fit, tmp_path, make_folder, make_picture):
    folder = make_folder({f"{at}.png": make_picture(at, (12, 20)) for at in range(5)})
    data = load(DataConfig(data=str(folder), size="6x10", fit=fit))
    assert data.spec.shape == (3, 6, 10)
    trained = np.concatenate([split.images for split in data.splits])
    for found in (named_images(folder, data.spec).images, own_images(folder, data.spec).images):
        own = (found.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        assert sorted(image.tobytes() for image in own) == sorted(image.tobytes() for image in trained)
    if fit == "pad":
        assert own_images(folder, data.spec).opaque.all()


def test_what_changes_prepared_images_changes_their_place_and_defaults_do_not(make_folder, make_picture):
    config = DataConfig(data=str(make_folder({"1.png": make_picture()})), size=8)
    material = locate(config)
    changed: list[dict[str, Any]] = [
        {},
        {"fit": "pad"},
        {"fit": "squash"},
        {"levels": "12bit"},
        {"frames": True},
        {"size": "8x9"},
    ]
    places = {place(material, replace(config, **change)) for change in changed}
    assert len(places) == len(changed)
    assert config.marks == []


def test_16_bit_files_that_use_a_part_of_their_range_are_found_and_scaled(tmp_path, recorded):
    folder = scans(tmp_path / "scans")
    found = findings(folder)["unused_values"]
    assert found.severity == "warning"
    assert found.what.endswith("lie in 0..4095, of 0..65535: about 17 of 256 grey levels remain")
    assert "--levels 12bit" in found.remedy
    assert "unused_values" not in findings(folder, levels="12bit")
    assert load(DataConfig(data=str(folder))).train.images.max() == 16
    config, data = load_settled(DataConfig(data=str(folder), levels="data"), recorded)
    assert (config.levels, data.train.images.max(), data.spec.levels) == ("0..4095", 255, (0, 4095))
    assert "scans: the values 0 to 4095 become black to white (--levels 0..4095)" in recorded.lines
    assert len(np.unique(data.train.images)) > 200
    assert any("0..4095 become black to white" in note for note in data.notes)
    assert provenance(data, "")["data"]["levels"] == [0, 4095]
    own = named_images(folder, data.spec, 1).images
    assert float(own.max()) == 1
    assert findings(scans(tmp_path / "wide", 5000), levels="12bit")["clipped"].count == 12
    assert "unused_values" not in findings(scans(tmp_path / "full", 65535))


def test_pages_and_frames_are_counted_and_used_on_request(tmp_path, make_folder):
    folder = make_folder({})
    folder.mkdir()
    for at in range(6):
        frames = [Image.new("L", (8, 8), 30 * at + 6 * page) for page in range(4)]
        frames[0].save(folder / f"{at}.tif", save_all=True, append_images=frames[1:])
    found = findings(folder)["several_images"]
    assert found.what == "6 files hold several images (pages or frames, 24 in all), of which only the first is used"
    data = load(DataConfig(data=str(folder)))
    assert sum(len(split) for split in data.splits) == 6
    assert any("add --frames" in note for note in data.notes)
    every = load(DataConfig(data=str(folder), frames=True))
    levels = np.unique(np.concatenate([split.images for split in every.splits]))
    assert sum(len(split) for split in every.splits) == 24
    assert levels.tolist() == sorted(30 * at + 6 * page for at in range(6) for page in range(4))
    assert "several_images" not in findings(folder, frames=True)


def test_converted_colour_profiles_are_reported_once(make_folder):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (100, 50, 25)).save(file, "PNG", icc_profile=linear_profile())
    folder = make_folder({f"{at}.png": file.getvalue() for at in range(4)})
    assert findings(folder)["colour_profiles"].count == 4
    data = load(DataConfig(data=str(folder)))
    (note,) = [note for note in data.notes if "colour profiles" in note]
    assert note.startswith("the colours of 4 images are converted from their colour profiles to sRGB")


def test_what_is_cropped_away_and_enlarged_is_said(make_folder, make_picture):
    folder = make_folder({f"{at}.png": make_picture(at, (288, 24)) for at in range(4)})
    found = findings(folder, size=24)["aspect_ratio"]
    assert found.what == "92 % of the pixels are cropped away to fit images to 24x24 (height x width), on average"
    assert found.severity == "warning"
    assert "aspect_ratio" not in findings(folder, size="24x288")
    assert "will be black" in findings(folder, size=24, fit="pad")["aspect_ratio"].what
    enlarged = findings(folder, size=384)["enlarged"]
    assert enlarged.what == "4 of 4 images are enlarged to 384x384, up to 16 times in height and width"
    assert enlarged.severity == "warning"
