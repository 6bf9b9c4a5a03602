"""Transforms: closed forms on small images, whole data sets, and data set names with a suffix."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter

from simulacra.core.errors import DataError, UsageError
from simulacra.data import settings as names
from simulacra.data import sources
from simulacra.data.check import check
from simulacra.data.formats.refused import Refused
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.synthetic import transforms
from simulacra.data.synthetic.transforms import TRANSFORMS, apply_transform, transform_between

small = arrays(np.uint8, st.tuples(*(st.integers(1, 5) for _ in range(3)), st.sampled_from([1, 3])))


def random_images(channels=1, side=9):
    return np.random.default_rng(0).integers(0, 256, (4, side, side, channels), dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(small)
def test_every_transform_keeps_number_and_size_and_is_a_function_of_each_image_alone(images):
    for transform in TRANSFORMS.values():
        changed = transform.apply(images)
        assert changed.dtype == np.uint8
        assert changed.shape == (*images.shape[:3], transform.channels or images.shape[3])
        assert np.array_equal(transform.apply(images[:1]), changed[:1])


@settings(max_examples=30, deadline=None)
@given(small)
def test_a_transform_changes_neither_its_input_nor_its_result_when_repeated(images):
    before = images.copy()
    for transform in TRANSFORMS.values():
        assert np.array_equal(transform.apply(images), transform.apply(images))
    assert np.array_equal(images, before)


def test_inverting_twice_changes_nothing_and_once_gives_255_minus_x():
    images = random_images(3)
    assert np.array_equal(transforms.inverted(images).astype(int), 255 - images.astype(int))
    assert np.array_equal(transforms.inverted(transforms.inverted(images)), images)


def test_the_red_channel_gives_grey_levels_back_and_the_mean_of_the_channels_nothing():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    changed = transforms.coloured(images)
    assert np.array_equal(changed[..., :1], images)
    assert (changed.sum(3, dtype=int) == 383).all()


def test_colours_become_grey_before_as_pillow_makes_them():
    images = random_images(3)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    assert np.array_equal(transforms.coloured(images)[..., 0], grey)


def test_thick_is_the_largest_of_nine_and_edges_what_it_adds():
    images = random_images()
    inner = np.stack([np.asarray(Image.fromarray(image[..., 0]).filter(ImageFilter.MaxFilter(3))) for image in images])
    assert np.array_equal(transforms.thick(images)[:, 1:-1, 1:-1, 0], inner[:, 1:-1, 1:-1])  # Pillow leaves the border as it is
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    whole = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).max((-2, -1))
    assert np.array_equal(transforms.thick(images), whole)
    assert np.array_equal(transforms.edges(images).astype(int), whole.astype(int) - images)


def test_a_dot_becomes_a_square_and_its_edges_a_ring():
    dot = np.zeros((1, 5, 5, 1), np.uint8)
    dot[0, 2, 2] = 200
    assert np.flatnonzero(transforms.thick(dot)).tolist() == [6, 7, 8, 11, 12, 13, 16, 17, 18]
    assert np.flatnonzero(transforms.edges(dot)).tolist() == [6, 7, 8, 11, 13, 16, 17, 18]


def test_a_known_answer_is_of_bytes_only():
    with pytest.raises(UsageError, match=r"images are float32 \[1, 2, 2, 1\], expected uint8 \[n h w c\]"):
        apply_transform(np.zeros((1, 2, 2, 1), np.float32), "thick")


# --- data sets


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("size", [0, pytest.param(12, marks=pytest.mark.long)])
def test_every_split_of_a_transformed_set_is_that_of_the_source_transformed_in_the_same_order(transform, size):
    source, changed = (load(DataConfig(data=name, size=size)) for name in ("digits", f"digits-{transform}"))
    assert changed.name == f"digits-{transform}"
    for one, other in zip(source.splits, changed.splits, strict=True):
        assert np.array_equal(apply_transform(one.images, transform), other.images)
        assert np.array_equal(np.asarray(one.class_labels), np.asarray(other.class_labels))
    expected = replace(source.spec, channels=TRANSFORMS[transform].channels or 1)
    if TRANSFORMS[transform].hue:
        expected = replace(expected, attributes=changed.spec.attributes, vocabulary=changed.spec.vocabulary)
    assert changed.spec == expected
    assert transform_between(source, changed) == transform
    assert transform_between(changed, source) == transform_between(source, source) == ""


@pytest.mark.long
def test_the_digests_of_all_transforms_differ_from_the_source_and_from_each_other():
    found = {load(DataConfig(data=name)).digest for name in ("digits", *(f"digits-{transform}" for transform in TRANSFORMS))}
    assert len(found) == 1 + len(TRANSFORMS)


def test_other_images_under_the_name_of_a_transform_are_not_recognized():
    source, changed = load(DataConfig(data="digits")), load(DataConfig(data="digits-inverted"))
    assert transform_between(source, replace(changed, name="digits-thick")) == ""
    assert transform_between(source, replace(changed, test=changed.test[:5])) == ""


def test_transforms_can_be_chained_and_applied_to_folders(make_folder, make_picture, monkeypatch, tmp_path):
    twice = load(DataConfig(data="digits-thick-inverted")).test.images
    assert np.array_equal(twice, transforms.inverted(transforms.thick(load(DataConfig(data="digits")).test.images)))
    folder = make_folder({f"{kind}/{at}.png": make_picture(at) for kind in "ab" for at in range(5)}, "own/kittens")
    monkeypatch.setenv("SIMULACRA_DATA", str(folder.parent))
    plain = load(DataConfig(data="kittens"))
    ways = (
        {"data": "kittens-inverted"},
        {"data": f"{folder}-inverted"},
        {"data": "folder-inverted", "path": str(folder)},
    )
    for way in ways:
        data = load(DataConfig.of(way, "the test"))
        assert (data.name, data.spec) == ("kittens-inverted", plain.spec)
        assert np.array_equal(data.train.images, 255 - plain.train.images)
    monkeypatch.chdir(folder.parent)
    assert sources.located(DataConfig(data="kittens-inverted")).data == f"{folder}-inverted"
    assert sources.located(DataConfig(data="digits-inverted")).data == "digits-inverted"


def test_a_folder_whose_own_name_ends_in_a_transform_is_read_as_it_is(make_folder, make_picture, monkeypatch):
    folder = make_folder({f"{at}.png": make_picture(at) for at in range(5)}, "own/kittens-inverted")
    monkeypatch.setenv("SIMULACRA_DATA", str(folder.parent))
    pictures = load(DataConfig(data="kittens-inverted"))
    assert np.array_equal(pictures.train.images, load(DataConfig(data=str(folder))).train.images)


def test_images_that_have_no_grey_level_are_skipped_with_the_reason(tmp_path):
    np.save(tmp_path / "four.npy", np.zeros((30, 4, 4, 4), np.uint8))
    with pytest.raises(Refused, match="4 channels have no grey level"):
        transforms.coloured(np.zeros((1, 4, 4, 4), np.uint8))
    with pytest.raises(DataError, match="30 x 4 channels have no grey level"):
        load(DataConfig(data=f"{tmp_path / 'four.npy'}-coloured"))


def test_wrong_names_and_channels_are_refused_with_the_remedy():
    with pytest.raises(UsageError, match=r"unknown data set .* 'digits-invertd': did you mean 'digits-inverted'"):
        load(DataConfig(data="digits-invertd"))
    with pytest.raises(UsageError, match=r"unknown data set .* 'digit': did you mean 'digits'"):
        load(DataConfig(data="digit-thick"))
    with pytest.raises(UsageError, match="coloured images have 3 channels, and --channels is 1: leave it out"):
        load(DataConfig(data="digits-coloured", channels=1))
    with pytest.raises(UsageError, match="--path is for"):
        DataConfig(data="digits-thick", path="here")
    with pytest.raises(UsageError, match="folder-thick needs --path"):
        DataConfig(data="folder-thick")


def test_shards_are_not_transformed():
    shards = replace(sources.locate(DataConfig(data="digits")), shards=cast(Any, "an index"))
    with pytest.raises(DataError, match=r"digits is a folder of tar shards, .* leave -thick out of its name"):
        transforms.transformed(shards, "thick", DataConfig())


def test_the_list_names_each_transform_once_and_whether_it_was_prepared():
    load(DataConfig(data="digits-thick"))
    rows = {row.name: row for row in sources.names()}
    assert {name for name in rows if "NAME" in name} == {f"NAME-{transform}" for transform in TRANSFORMS}
    assert [rows[f"NAME-{transform}"].prepared for transform in ("thick", "edges")] == [True, False]
    assert sorted(TRANSFORMS) == sorted(names.TRANSFORMS)


def test_transformed_data_can_be_checked():
    assert check(DataConfig(data="digits-edges")).name == "digits-edges"
