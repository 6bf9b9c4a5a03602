"""The transform `hues`: colours, attributes and captions are functions of each image alone."""

import json

import numpy as np
import pytest

from simulacra.core.errors import DataError, UsageError
from simulacra.core.vocabulary import words_of
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.synthetic.hues import HUES, TEMPLATES, caption, hue_numbers, hues, nearest_hues
from simulacra.data.synthetic.transforms import transform_between
from simulacra.interfaces.cli import main


def many_images(count=2000):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)


def test_the_largest_channel_is_the_grey_level_and_black_stays_black():
    images = many_images(50)
    assert np.array_equal(hues(images).max(3, keepdims=True), images)
    assert not hues(np.zeros_like(images)).any()


def test_the_hue_is_a_function_of_the_image_and_uniform_over_images():
    # 7 shares of 1/7 among 2,000; 5.5 standard errors each: 2.7e-7 in total
    images = many_images()
    numbers = hue_numbers(images)
    order = np.random.default_rng(1).permutation(len(images))
    assert np.array_equal(hue_numbers(images[order]), numbers[order])
    assert np.array_equal(hue_numbers(np.repeat(images, 3, axis=3)), numbers)
    shares = np.bincount(numbers, minlength=len(HUES)) / len(images)
    assert len(shares) == len(HUES) == 7
    assert np.abs(shares - 1 / 7).max() < 5.5 * np.sqrt(1 / 7 * 6 / 7 / 2000)


def test_the_nearest_hue_of_the_mean_colour_is_the_hue():
    images = many_images(500)
    assert np.array_equal(nearest_hues(hues(images)), hue_numbers(images))
    data = load(DataConfig(data="digits-hues"))
    for split in data.splits:
        assert np.array_equal(nearest_hues(split.images), np.asarray(split.labels)[:, 1])


def test_labels_and_captions_state_the_digit_and_the_hue():
    data = load(DataConfig(data="digits-hues"))
    assert [(item.name, len(item.values)) for item in data.spec.attributes] == [("digit", 10), ("hue", 7)]
    assert data.test.captions is not None
    for labels, text in zip(np.asarray(data.test.labels), data.test.captions, strict=True):
        digit, hue = (item.values[value] for item, value in zip(data.spec.attributes, labels, strict=True))
        assert text in {caption((digit,), hue, "digits", wording) for wording in range(len(TEMPLATES))}
    assert len({tuple(words_of(text)) for text in data.test.captions}) > 100


@pytest.mark.long
def test_hues_follow_and_precede_other_transforms(make_folder, make_picture):
    source, coloured = load(DataConfig(data="digits-thick")), load(DataConfig(data="digits-thick-hues"))
    assert transform_between(source, coloured) == "hues"
    assert coloured.spec.attributes[0].name == "digit"
    changed = load(DataConfig(data="digits-hues-inverted"))
    plain = load(DataConfig(data="digits-hues"))
    assert changed.spec == plain.spec
    assert changed.test.captions == plain.test.captions
    assert changed.digest != plain.digest
    with pytest.raises(DataError, match="has an attribute 'hue' already"):
        load(DataConfig(data="digits-hues-hues"))


def test_other_classes_become_an_attribute_and_images_without_classes_have_a_hue(make_folder, make_picture):
    folder = make_folder({f"{kind}/{at}.png": make_picture(at) for kind in ("cat", "dog") for at in range(30)}, "own/pets")
    data = load(DataConfig(data=f"{folder}-hues"))
    assert (data.spec.attributes[0].name, data.spec.attributes[0].values) == ("class", ("cat", "dog"))
    plain = load(DataConfig(data=str(folder)))
    assert np.array_equal(np.asarray(data.train.class_labels), np.asarray(plain.train.labels))
    loose = make_folder({f"{at}.png": make_picture(at) for at in range(60)}, "own/loose")
    assert set(load(DataConfig(data=f"{loose}-hues")).spec.classes) <= set(HUES)


def test_the_digest_is_that_of_pixels_labels_and_captions(monkeypatch, tmp_path):
    before = load(DataConfig(data="digits-hues"))
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "other"))
    again = load(DataConfig(data="digits-hues"))
    assert again.digest == before.digest
    assert again.spec == before.spec
    assert np.array_equal(np.asarray(again.train.tokens), np.asarray(before.train.tokens))


def test_data_check_counts_values_and_words(capsys):
    assert main(["data", "check", "digits-hues", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content["attributes"]) == {"digit", "hue"}
    assert (content["vocabulary"], content["longest_caption"]) == (35, 5)
    main(["data", "check", "digits-hues"])
    assert "captions: 35 different words, at most 5 in a caption" in capsys.readouterr().out


# --- combinations that are left out


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 12, 40])
def test_combinations_are_absent_from_training_and_validation_and_present_in_test(count):
    whole, data = (load(DataConfig(data="digits-hues", hold_out=held)) for held in (0, count))

    def pairs(*splits):
        return {tuple(row) for split in splits for row in np.asarray(split.labels).tolist()}

    left_out = pairs(whole.train, whole.validation) - pairs(data.train, data.validation)
    assert len(left_out) == count
    assert len(pairs(data.test) & left_out) > 0.5 * count
    assert np.array_equal(data.test.images, whole.test.images)
    for column in (0, 1):
        assert set(np.asarray(data.train.labels)[:, column]) == set(np.asarray(whole.train.labels)[:, column])
    assert data.digest != whole.digest
    by_value = [[sum(pair[side] == value for pair in left_out) for value in range(size)] for side, size in ((0, 10), (1, 7))]
    assert all(max(numbers) - min(numbers) <= 1 for numbers in by_value)


def test_every_value_keeps_a_combination_or_the_number_is_refused():
    with pytest.raises(UsageError, match="--hold-out is 69, and of digits-hues only"):
        load(DataConfig(data="digits-hues", hold_out=69))
    with pytest.raises(UsageError, match="digits has one label for each image"):
        load(DataConfig(data="digits", hold_out=3))


def test_training_images_keep_their_order_without_those_left_out():
    whole, data = (load(DataConfig(data="digits-hues", hold_out=held, validation=0)) for held in (0, 12))
    held = {tuple(row) for row in np.asarray(data.train.labels).tolist()}
    kept = np.array([tuple(row) in held for row in np.asarray(whole.train.labels).tolist()])
    assert np.array_equal(data.train.images, np.asarray(whole.train.images)[kept])
    assert data.train.captions == tuple(text for text, keep in zip(whole.train.captions or (), kept, strict=True) if keep)
    assert data.spec == whole.spec
