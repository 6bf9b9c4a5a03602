"""Captions: their words, vocabulary and tokens, from metadata files and arrays, in splits and training batches."""

import json

import numpy as np
import pytest
import torch

import simulacra
from simulacra.core.errors import DataError, UsageError
from simulacra.core.vocabulary import Vocabulary
from simulacra.data.batches import Batches
from simulacra.data.check import check
from simulacra.data.load import from_array, load
from simulacra.data.preparation.prepared import FACTS, TOKENS
from simulacra.data.settings import DataConfig
from simulacra.data.vocabularies import captioned_tokens


@pytest.fixture
def captioned_folder(make_folder, make_picture, tmp_path):
    """A folder of 40 training and 4 test images with captions: one is missing, one test caption has an unknown word."""
    names = [f"train/{at:02d}.png" for at in range(40)] + [f"test/{at}.png" for at in range(4)]
    folder = make_folder({name: make_picture(at) for at, name in enumerate(names)}, "own/captioned")
    texts = ["A red circle", "blue square, large"] * 20 + ["a red square", "a GREEN circle", "blue", ""]
    rows = [json.dumps({"file_name": name, "text": text}) for name, text in zip(names, texts, strict=True)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def test_words_are_numbered_in_alphabetical_order_and_unknown_ones_have_no_tokens():
    vocabulary, tokens = captioned_tokens(["A red circle", "blue circle!", "", "green circle", "a red blue circle"], 3)
    assert vocabulary == Vocabulary(("a", "blue", "circle", "red"), 3)
    assert tokens is not None
    assert tokens.tolist() == [[1, 4, 3], [2, 3, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("captions", [[f"w{at}" for at in range(1001)], [" ".join(["word"] * 65)], ["", ""], ["...", ""]])
def test_a_large_or_an_empty_vocabulary_gives_no_tokens(captions):
    assert captioned_tokens(captions, len(captions)) == (Vocabulary((), 0), None)


def test_a_folder_has_a_vocabulary_of_its_training_captions(captioned_folder):
    data = load(DataConfig(data=str(captioned_folder)))
    assert data.spec.vocabulary == Vocabulary(("a", "blue", "circle", "large", "red", "square"), 3)
    assert data.test.captions is not None
    held = dict(zip(data.test.captions, np.asarray(data.test.tokens).tolist(), strict=True))
    assert held == {"a red square": [1, 5, 6], "a GREEN circle": [0, 0, 0], "blue": [2, 0, 0], "": [0, 0, 0]}
    assert load(DataConfig(data=str(captioned_folder), limit=2, validation=0)).spec == data.spec


def test_data_check_notes_unknown_words(captioned_folder):
    found = check(DataConfig(data=str(captioned_folder)))
    assert (found.vocabulary, found.longest_caption) == (6, 3)
    (note,) = (item for item in found.findings if item.kind == "unknown_words")
    assert (note.count, note.examples) == (1, ("a GREEN circle",))


def test_images_prepared_before_there_were_vocabularies_are_prepared_again(captioned_folder, cache):
    before = load(DataConfig(data=str(captioned_folder)))
    (folder,) = (path.parent for path in cache.glob(f"prepared/captioned-*/{FACTS}"))
    facts = json.loads((folder / FACTS).read_text())
    del facts["vocabulary"], facts["held_out"]
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOKENS).unlink()
    again = load(DataConfig(data=str(captioned_folder)))
    assert (again.spec, again.digest) == (before.spec, before.digest)
    assert (folder / TOKENS).is_file()


def test_arrays_take_captions(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    captions = ["a red one", "a blue one", ""] * 10
    data = simulacra.from_array(images, captions=captions)
    assert data.spec.vocabulary == Vocabulary(("a", "blue", "one", "red"), 3)
    for split in data.splits:
        batch = split.head(len(split))
        assert batch.condition.tokens is not None
        assert batch.condition.tokens.dtype == torch.int64
        expected = [captions[at] for image in split.images for at in range(30) if np.array_equal(images[at], image)]
        assert split.captions == tuple(expected)
        assert np.array_equal(np.asarray(batch.condition.tokens), data.spec.vocabulary.tokens(expected))
    assert data.train[:3].captions == (data.train.captions or ())[:3]
    assert data.digest != from_array(images).digest
    assert data.digest != from_array(images, captions=captions[::-1]).digest
    with pytest.raises(DataError, match="there are 29 captions of 30 images"):
        from_array(images, captions=captions[1:])
    assert from_array(images).train.head(2).condition.tokens is None


@pytest.mark.parametrize("resident", [False, True])
def test_training_batches_have_the_tokens_of_their_images(resident):
    data = load(DataConfig(data="digits-hues"))
    batches = Batches(data.train, 16, 0, resident=resident)
    batch, rows = batches.batch(7), batches.rows(7)
    assert batch.condition.tokens is not None
    assert batch.condition.tokens.dtype == torch.int64
    assert np.array_equal(batch.condition.tokens.numpy(), np.asarray(data.train.tokens)[rows])
    assert np.array_equal(np.asarray(batch.condition.labels), np.asarray(data.train.labels)[rows])
    plain = load(DataConfig(data="digits"))
    assert Batches(plain.train, 16, 0, resident=resident).batch(0).condition.tokens is None


def test_a_caption_of_a_user_is_parsed_or_refused_by_name():
    vocabulary = Vocabulary.of(["a red seven", "blue eight on black"])
    assert vocabulary.parse("A red EIGHT.").tolist() == vocabulary.tokens(["a red eight"])[0].tolist()
    with pytest.raises(UsageError, match=r"unknown words 'sevn' \(nearest: seven\), 'green' \(.*\): use those of the captions"):
        vocabulary.parse("a sevn in green".replace(" in", ""))
    with pytest.raises(UsageError, match="has 5 words, expected 1 to 4"):
        vocabulary.parse("a red seven on black")
    with pytest.raises(UsageError, match="has 0 words"):
        vocabulary.parse("...")


@pytest.mark.parametrize("name", ["table.csv", "~/data/table.XLSX", "rows.parquet"])
def test_a_table_is_refused_with_libraries_for_tables(name):
    for config in (DataConfig(data=name), DataConfig(data="folder", path=name), DataConfig(data=f"{name}-inverted")):
        with pytest.raises(DataError, match=r"is a table, and Simulacra generates images only: .* sdv or ctgan"):
            load(config)
