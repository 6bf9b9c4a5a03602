"""Checks of arrays: rank, range and NaN, with the number of the first bad image (trap 23)."""

import io

import numpy as np
import pytest
import torch

from simulacra.core.errors import DataError
from simulacra.data.formats.arrays import to_uint8
from simulacra.data.load import from_array, load, load_settled, named_images
from simulacra.data.settings import DataConfig

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (20, 6, 5), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)


def pixels(data):
    return np.concatenate([split.images for split in data.splits])


def held(data, images):
    return sorted(map(bytes, pixels(data))) == sorted(map(bytes, images))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY),
        (GREY[..., None], GREY),
        (GREY[:, None], GREY),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR),
        (torch.from_numpy(COLOUR).permute(0, 3, 1, 2), COLOUR),
        (COLOUR.astype(np.int64), COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (COLOUR / 255, COLOUR),
        (torch.from_numpy(COLOUR / 255).float().requires_grad_(), COLOUR),
        (GREY > 100, (GREY > 100) * np.uint8(255)),
    ],
    ids=range(11),
)
def test_images_of_every_usual_form_are_taken(images, expected):
    data = from_array(images)
    assert held(data, expected)
    assert data.spec.shape == (expected[..., None].shape[3] if expected.ndim == 3 else 3, 6, 5)


def test_where_both_layouts_fit_arrays_are_channels_last_and_tensors_channels_first():
    both = RANDOM.integers(0, 256, (4, 3, 6, 3), dtype=np.uint8)
    assert from_array(both).spec.shape == (3, 3, 6)
    assert from_array(torch.from_numpy(both)).spec.shape == (3, 6, 3)


def test_bfloat16_tensors_are_taken():
    assert from_array(torch.rand(6, 1, 4, 4).bfloat16()).spec.shape == (1, 4, 4)


def wrong(value, at=7, kind=np.float32):
    images = np.zeros((20, 6, 5), dtype=kind)
    images[:, 0, 0] = 1
    images[at, 2, 3] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (wrong(255.0), r"array: image 7 has values from 0 to 255, expected float32 in \[0, 1\]: divide by 255"),
        (wrong(-0.1), r"image 7 has values from -0.1 to 1, expected float32 in \[0, 1\]"),
        (wrong(float("nan")), r"image 7 has NaN, expected float32 in \[0, 1\]"),
        (wrong(float("inf"), 19), "image 19 has infinite values"),
        (wrong(256, kind=np.int64), r"image 7 has values from 0 to 256, expected int64 in \[0, 255\]"),
        (wrong(-1, kind=np.int16), "image 7 has values from -1 to 1"),
        (np.ones((4, 5, 5), np.uint8), "all values are 0 or 1, expected uint8 values in 0..255: multiply by 255"),
        (np.zeros((4, 5)), r"has shape \(4, 5\), expected \[n h w\]"),
        (np.zeros((4, 5, 5, 5, 3)), "expected .n h w."),
        (np.zeros((4, 9, 9, 7)), r"shape \(4, 9, 9, 7\)"),
        (np.zeros((0, 9, 9)), "at least one image"),
        (np.zeros((4, 0, 9)), "at least one image"),
        (np.zeros((4, 9, 9), complex), "values of type complex128"),
        (np.array([[["a"]]]), "values of type <U1"),
        (np.array([[[None]]]), "values of type object"),
    ],
    ids=range(15),
)
def test_what_is_not_images_is_refused_with_what_was_got_and_expected(images, message):
    with pytest.raises(DataError, match=message):
        from_array(images)


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (-1, 1, r"give \(images \+ 1\) / 2 if the values are in \[-1, 1\]"),
        (-2.1, 2.6, "the values are standardized: undo this, or give --levels"),
        (0, 255, "divide by 255"),
        (0, 4095, "give --levels with the value that becomes white"),
    ],
)
def test_the_advice_fits_the_values(low, high, advice):
    with pytest.raises(DataError, match=advice):
        from_array(np.linspace(low, high, 5 * 6 * 7).reshape(5, 6, 7))


def test_rounding_beyond_the_ends_is_accepted():
    images = np.linspace(-1e-7, 1.0000001, 5 * 6 * 7).reshape(5, 6, 7)
    assert to_uint8(images, "array").max() == 255
    assert to_uint8(images, "array").min() == 0


def test_one_colour_image_is_one_image(tmp_path):
    assert to_uint8(np.full((8, 9, 3), 7, np.uint8), "array").shape == (1, 8, 9, 3)
    assert to_uint8(np.full((8, 9, 5), 7, np.uint8), "array").shape == (8, 9, 5, 1)


def test_unused_arrays_are_named_and_levels_scale_16_bits(tmp_path):
    images = np.linspace(0, 4095, 20 * 6 * 6).reshape(20, 6, 6).astype(np.uint16)
    np.savez(tmp_path / "scans.npz", images=images, arr_1=np.zeros(3), val_images=images[:2])
    path = str(tmp_path / "scans.npz")
    with pytest.raises(DataError, match=r"scale the values to 0..255, or give --levels"):
        load(DataConfig(data=path))
    config, data = load_settled(DataConfig(data=path, levels="data"))
    assert config.levels == "0..4095"
    assert data.spec.levels == (0, 4095)
    assert max(split.images.max() for split in data.splits) == 255
    (note,) = data.notes
    assert note == "2 arrays of scans.npz are not used: arr_1, val_images"


def test_the_first_bad_image_is_found_beyond_the_first_block():
    images = np.zeros((3000, 2, 2), dtype=np.float32)
    images[2500, 0, 0] = images[2600, 0, 0] = 3
    with pytest.raises(DataError, match="image 2500 has"):
        from_array(images)


def test_labels_and_class_names_are_kept_and_checked():
    labels = np.arange(20) % 3
    data = from_array(GREY, labels, classes=("x", "y", "z"))
    assert data.spec.classes == ("x", "y", "z")
    known = {bytes(image): label for image, label in zip(GREY, labels, strict=True)}
    for split in data.splits:
        assert [known[bytes(image)] for image in split.images] == np.asarray(split.labels).tolist()
    assert from_array(GREY, torch.from_numpy(labels)).spec.classes == ("0", "1", "2")
    with pytest.raises(DataError, match="label 2 but only 2 class names"):
        from_array(GREY, labels, classes=("x", "y"))
    with pytest.raises(DataError, match=r"labels of shape \(19,\) for 20 images"):
        from_array(GREY, labels[1:])
    for bad in (labels / 2, labels - 1):
        with pytest.raises(DataError, match="expected whole numbers from 0"):
            from_array(GREY, bad)


def test_given_test_images_are_the_test_split():
    data = from_array(GREY, test_images=GREY[:4], name="mine")
    assert (data.name, len(data.test), len(data.train) + len(data.validation)) == ("mine", 4, 20)
    with pytest.raises(DataError, match="do not fit"):
        from_array(GREY, test_images=COLOUR)
    with pytest.raises(DataError, match=r"mine \(test\): image 2 has"):
        from_array(GREY, test_images=wrong(9.0, 2), name="mine")


def test_the_digest_depends_on_contents():
    digests = {from_array(images).digest for images in (GREY, GREY[::-1], COLOUR)} | {from_array(GREY, np.zeros(20, int)).digest}
    assert len(digests) == 4
    assert from_array(GREY).digest == from_array(GREY[:, None].astype(np.int32)).digest


def test_a_npy_file_is_a_data_set(tmp_path):
    np.save(tmp_path / "mine.npy", COLOUR)
    data = load(DataConfig(data=str(tmp_path / "mine.npy")))
    assert data.name == "mine"
    assert held(data, COLOUR)
    assert data.train.labels is None


def test_a_npz_file_contains_labels_and_test_images(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, x_train=COLOUR, y_train=np.arange(20) % 2 * 4, x_test=COLOUR[:3], y_test=np.array([0, 4, 0]))
    data = load(DataConfig(data="array", path=str(path), size=4))
    assert data.spec.shape == (3, 4, 4)
    assert data.spec.classes == ("0", "4")
    assert sorted(np.asarray(data.test.labels).tolist()) == [0, 0, 1]


@pytest.mark.parametrize("name", ["bad.npy", "bad.npz"])
def test_pickles_and_garbage_in_array_files_are_refused(tmp_path, name):
    path = tmp_path / name
    (np.save if name.endswith("npy") else np.savez)(path, np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(DataError, match=r"not a readable .npy or .npz file"):
        load(DataConfig(data=str(path)))
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"not a readable .npy or .npz file"):
        load(DataConfig(data=str(path)))
    np.save(tmp_path / "nan.npy", wrong(float("nan")))
    with pytest.raises(DataError, match=r"nan.npy: image 7 has NaN"):
        load(DataConfig(data=str(tmp_path / "nan.npy")))
    np.savez(tmp_path / "other.npz", weights=GREY)
    with pytest.raises(DataError, match="weights, expected an array named images"):
        load(DataConfig(data=str(tmp_path / "other.npz")))
    with pytest.raises(DataError, match="not a file"):
        load(DataConfig(data="array", path=str(tmp_path / "none.npy")))


def test_user_images_are_fitted_to_a_model(tmp_path, make_picture, make_folder):
    spec = from_array(np.zeros((10, 9, 6))).spec
    folder = make_folder({f"{at}.png": make_picture(at, (20 + at, 30)) for at in range(4)} | {"cut.png": b"\x89PNG"})
    images = named_images(folder, spec, 3).images
    assert images.shape == (3, 1, 9, 6)
    assert 0 <= images.min() < images.max() <= 1
    assert named_images(folder / "0.png", spec, 8).images.shape == (1, 1, 9, 6)
    np.save(tmp_path / "mine.npy", COLOUR)
    assert named_images(tmp_path / "mine.npy", spec, 8).images.shape == (8, 1, 9, 6)
    with pytest.raises(DataError, match=r"no image that can be used \(1 files skipped, such as cut.png"):
        named_images(folder / "cut.png", spec, 3)
    with pytest.raises(DataError, match="cannot be read"):
        named_images(tmp_path / "nowhere", spec, 3)
    (tmp_path / "a.bin").write_bytes(io.BytesIO(b"x" * 2000).read())
    with pytest.raises(DataError, match="neither a folder nor"):
        named_images(tmp_path / "a.bin", spec, 3)
