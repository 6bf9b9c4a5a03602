"""Textures are a function of the seed, and masks are exactly where a defect changes an image."""

from hashlib import sha256

import numpy as np
import pytest

from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.sources import textures as source
from simulacra.data.synthetic.textures import DEFECTS, SIDE, TEXTURES, defective_images, normal_images


@pytest.mark.long
def test_images_are_a_function_of_the_purpose_and_the_number():
    first, labels = normal_images(300, "train")
    again, _ = normal_images(300, "train")
    fewer, _ = normal_images(10, "train")
    other, _ = normal_images(300, "test")
    assert np.array_equal(first, again)
    assert np.array_equal(first[:10], fewer)
    assert not (first == other).all((1, 2, 3)).any()
    assert first.shape == (300, SIDE, SIDE, 1)
    assert first.dtype == np.uint8
    assert labels[:4].tolist() == [0, 1, 2, 0]
    assert len({sha256(image.tobytes()).hexdigest() for image in first}) == 300


def test_defects_change_images_exactly_within_their_masks():
    made = defective_images(120, "defects")
    changed = (made.images != made.normal)[..., 0]
    assert not changed[~made.masks].any()
    assert made.masks.any((1, 2)).all()
    assert (made.masks.mean((1, 2)) < 0.25).all()
    for kind in range(len(DEFECTS)):
        inside = made.masks[made.kinds == kind]
        assert changed[made.kinds == kind][inside].mean() > 0.9
    counts = np.bincount(made.textures * len(DEFECTS) + made.kinds, minlength=len(TEXTURES) * len(DEFECTS))
    assert (counts == 10).all()
    assert np.array_equal(made.images, defective_images(120, "defects").images)


@pytest.mark.long
def test_the_source_is_prepared_without_defects():
    data = load(DataConfig(data="textures", limit=100))
    assert data.spec.shape == (1, SIDE, SIDE)
    assert data.spec.classes == tuple(TEXTURES)
    assert len(data.test) == 600
    assert source.SOURCE.place() == "embedded"
