"""Tar shards: lossless packing, an order that is a function of (seed, i, part), and errors for damaged shards."""

import errno
import io
import json
import pickle
import sys
import tarfile
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulacra.core.errors import DataError, UsageError
from simulacra.core.files import RUN_FILES
from simulacra.data.batches import Batches, flips
from simulacra.data.check import check
from simulacra.data.load import load, load_settled, training_batches
from simulacra.data.settings import DataConfig
from simulacra.data.shards import streamed
from simulacra.data.shards.index import holds_shards
from simulacra.data.shards.opening import HELD
from simulacra.data.shards.pack import pack
from simulacra.data.shards.reading import Shard, webdataset
from simulacra.data.shards.streamed import Streamed, parts_of
from simulacra.data.sources import names

webdataset("tariterators")  # the tests need the extra "shards"


def png(number, size=(4, 3), mode="L"):
    """Return a picture of its own for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def make_shards(make_tar):
    """Write shards of so many images; the class of an image is its number over all shards."""

    def make(*counts, name="shards", split="train", start=0, **how):
        for at in range(len(counts)):
            numbers = range(start + sum(counts[:at]), start + sum(counts[: at + 1]))
            files = {
                f"{n:06d}.{suffix}": content for n in numbers for suffix, content in (("png", png(n, **how)), ("cls", b"%d" % n))
            }
            folder = make_tar(files, f"{name}/{split}-{at:06d}.tar").parent
        return folder

    return make


@pytest.fixture
def shards(make_shards):
    """A folder of 60 training images in five uneven shards, with 8 and 9 for validation and testing."""
    make_shards(20, 7, 13, 1, 19)
    make_shards(8, split="val", start=60)
    return make_shards(9, split="test", start=68)


def opened(folder, progress=None, **settings):
    return load(DataConfig(data=str(folder), **settings), *([progress] if progress else []))


def numbers(batch):
    return np.asarray(batch.labels).tolist()


def epoch(batch_source, number=0):
    return [n for i in range(batch_source.per_epoch) for n in numbers(batch_source.batch(number * batch_source.per_epoch + i))]


# --- Packing ------------------------------------------------------------------------------------------------------------


def test_packed_images_are_those_of_the_source_bit_for_bit_in_all_three_splits(tmp_path):
    config = DataConfig(data="digits", limit=400)
    source = load(config)
    pack(config, tmp_path / "shards", 100)
    data = opened(tmp_path / "shards")
    batch_source = training_batches(data, 25, seed=0)
    pixels = [np.rint(batch_source.batch(i).images.numpy() * 255).astype(np.uint8) for i in range(batch_source.per_epoch)]
    labels = [np.asarray(batch_source.batch(i).labels) for i in range(batch_source.per_epoch)]
    streamed = {(image.tobytes(), int(n)) for image, n in zip(np.concatenate(pixels), np.concatenate(labels), strict=True)}

    def contents(split):
        return sorted((image.tobytes(), int(n)) for image, n in zip(split.images, split.labels, strict=True))

    assert data.training_images == len(source.train) == 400
    assert streamed == set(contents(source.train))
    assert contents(data.validation) == contents(source.validation)
    assert contents(data.test) == contents(source.test)
    assert data.spec == source.spec


def test_packing_the_same_images_gives_the_same_digest_and_the_same_files(tmp_path):
    one, same = (pack(DataConfig(data="digits", limit=300), tmp_path / name, 200) for name in ("one", "same"))
    other = pack(DataConfig(data="digits", limit=300, size=6), tmp_path / "other", 200)
    assert one == same
    assert [len(one["shards"][name]) for name in ("train", "validation", "test")] == [2, 1, 2]
    assert one["digest"] != other["digest"]
    assert other["shape"] == [6, 6, 1]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "same" / path.name).read_bytes()


def test_colour_photographs_are_packed_as_size_and_channels_say(tmp_path, make_folder, make_picture):
    folder = make_folder({f"{kind}/{n}.png": make_picture(n, (9 + n, 7)) for kind in ("cat", "dog") for n in range(12)})
    pack(DataConfig(data=str(folder), size=5), tmp_path / "shards", 4)
    data = opened(tmp_path / "shards")
    source = load(DataConfig(data=str(folder), size=5))
    assert (data.spec.shape, data.spec.classes) == ((3, 5, 5), ("cat", "dog"))
    assert {image.tobytes() for image in data.test.images} == {image.tobytes() for image in source.test.images}


def test_shards_can_be_packed_again_in_another_size(tmp_path, shards):
    table = pack(DataConfig(data=str(shards), size=2), tmp_path / "small", 10)
    assert [sum(shard["images"] for shard in table["shards"][name]) for name in table["shards"]] == [60, 8, 9]
    assert opened(tmp_path / "small").spec.shape == (1, 2, 2)


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="out exists already and is not empty: choose another --out"):
        pack(DataConfig(), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="--shard-images is 0"):
        pack(DataConfig(), tmp_path / "new", 0)


def test_a_full_disk_is_named_and_leaves_no_half_folder(tmp_path, monkeypatch):
    def full(self, sample):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(webdataset("writer").TarWriter, "write", full)
    with pytest.raises(DataError, match=r"cannot write shards to .*: No space left on device: free some space there"):
        pack(DataConfig(), tmp_path / "new" / "shards")
    assert list((tmp_path / "new").iterdir()) == []


def test_images_that_a_png_cannot_store_are_not_packed(tmp_path):
    np.save(tmp_path / "four.npy", np.random.default_rng(0).integers(0, 256, (30, 5, 5, 4), dtype=np.uint8))
    with pytest.raises(UsageError, match="four has 4 channels"):
        pack(DataConfig(data=str(tmp_path / "four.npy")), tmp_path / "shards")


# --- The order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("group", [6, *(pytest.param(group, marks=pytest.mark.long) for group in (18, 8192))])
def test_every_image_is_served_once_in_an_epoch_over_all_parts_but_for_the_stated_rest(shards, count, group):
    data = opened(shards)
    assert data.stream is not None
    batch_sources = [Streamed(data.stream, 18, 3, part=(rank, count), group=group) for rank in range(count)]
    assert {(batch_source.size, batch_source.per_epoch, batch_source.fixed_order) for batch_source in batch_sources} == {
        (18, 3, False)
    }
    for number in (0, 1, 5):
        served = [n for batch_source in batch_sources for n in epoch(batch_source, number)]
        assert len(served) == len(set(served)) == 54  # of 60; the rest is fewer than a batch
        assert set(served) <= set(range(60))
    assert len({n for number in range(5) for batch_source in batch_sources for n in epoch(batch_source, number)}) == 60


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 2**32), st.data())
def test_parts_of_shards_are_the_stretch_of_the_row_that_was_asked_for(counts, seed, data):
    made = [Shard(str(at), count, 0) for at, count in enumerate(counts)]
    order = np.random.default_rng(seed).permutation(len(counts))
    row = [(str(at), n) for at in order for n in range(counts[at])]
    start = data.draw(st.integers(0, len(row)))
    count = data.draw(st.integers(0, len(row) - start))
    parts = parts_of(made, order, start, count)
    assert [(part.shard.file, n) for part in parts for n in range(part.start, part.stop)] == row[start : start + count]
    assert [part.at for part in parts] == np.cumsum([0, *(part.stop - part.start for part in parts)])[:-1].tolist()


@pytest.mark.parametrize("part", [(0, 1), (1, 2)])
def test_a_batch_depends_on_nothing_that_was_asked_before(shards, part):
    data = opened(shards)
    assert data.stream is not None
    straight, jumping = (Streamed(data.stream, 6, 3, True, part, group=9) for _ in range(2))
    wanted = {i: straight.batch(i) for i in range(30)}
    for i in (29, 0, 7, 7, 13, 1, 12, 28, 2, 6, 5):
        assert np.array_equal(jumping.batch(i).images, wanted[i].images)
        assert numbers(jumping.batch(i)) == numbers(wanted[i])
    late = Streamed(data.stream, 6, 3, True, part, group=9)
    assert numbers(late.batch(17)) == numbers(wanted[17])


def test_epochs_and_seeds_have_orders_of_their_own(shards):
    data = opened(shards)
    orders = {tuple(epoch(training_batches(data, 10, seed), number)) for seed in (0, 1) for number in range(3)}
    assert len(orders) == 6
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_images_belong_to_their_labels_and_flips_are_those_of_batches(shards):
    data = opened(shards)
    plain, mirrored = training_batches(data, 20, 5).batch(4), training_batches(data, 20, 5, flip=True).batch(4)
    for image, number in zip(plain.images, numbers(plain), strict=True):
        assert np.array_equal(np.rint(image[0].numpy() * 255), np.asarray(Image.open(io.BytesIO(png(number)))))
    flipped = flips(5, 4, 20)
    assert 0 < flipped.sum() < 20
    for at in range(20):
        assert np.array_equal(mirrored.images[at], plain.images[at].flip(2) if flipped[at] else plain.images[at])


def test_the_flips_of_a_part_are_its_slice_of_those_of_the_batch(shards):
    data = opened(shards)
    plain, mirrored = (training_batches(data, 20, 5, flip, (1, 2)).batch(2) for flip in (False, True))
    changed = [not np.array_equal(one, other) for one, other in zip(plain.images, mirrored.images, strict=True)]
    assert changed == flips(5, 2, 20)[10:].tolist()


def test_batches_larger_than_the_data_or_not_to_be_shared_are_refused(shards):
    data = opened(shards)
    with pytest.raises(UsageError, match="train has 60 images, fewer than one batch of 61: use --batch 60 or less"):
        training_batches(data, 61, 0)
    with pytest.raises(UsageError, match=r"--batch is 10, .* 4 processes"):
        training_batches(data, 10, 0, part=(0, 4))


def test_two_groups_are_alive_at_most_and_others_are_never_read(shards, monkeypatch):
    alive: weakref.WeakSet[streamed._Group] = weakref.WeakSet()
    begun: list[int] = []

    class Counted(streamed._Group):
        def __init__(self, *given):
            super().__init__(*given)
            alive.add(self)
            begun.append(len(alive))

    monkeypatch.setattr(streamed, "_Group", Counted)
    data = opened(shards)
    assert data.stream is not None
    batch_source = Streamed(data.stream, 6, 0, group=12)
    batch_source.batch(7)
    assert len(begun) == 2  # its own and the next: four groups lie before it
    for i in (*range(40), 3, 31, 2):
        batch_source.batch(i)
    assert max(begun) == 2
    assert batch_source._begin(0).images.shape == (12, 3, 4, 1)


def test_data_that_are_held_are_served_as_batches():
    data = load(DataConfig())
    batch_source = training_batches(data, 10, 0, part=(1, 2))
    assert isinstance(batch_source, Batches)
    assert batch_source.fixed_order
    assert len(batch_source.batch(0)) == 5
    assert data.training_images == len(data.train)


# --- What is held -------------------------------------------------------------------------------------------------------


def test_held_images_are_decoded_once_and_bounded(shards, monkeypatch, recorded):
    monkeypatch.setattr("simulacra.data.shards.opening.HELD", 6)
    data = opened(shards, recorded)
    assert [len(split) for split in data.splits] == [6, 6, 6]
    assert data.training_images == 60
    assert "60 training images are streamed from 5 shards" in data.notes
    assert "6 of 9 test images are used, chosen by a fixed seed" in data.notes
    assert set(np.asarray(data.test.labels).tolist()) <= set(range(68, 77))
    recorded.meters.clear()
    again = opened(shards, recorded)
    assert not recorded.meters
    assert np.array_equal(again.test.images, data.test.images)
    assert HELD == 10_000


def test_a_limit_decodes_so_many_images_and_streams_nothing(shards):
    data = opened(shards, limit=40)
    assert data.stream is None
    assert data.training_images == len(data.train) == 40
    assert set(np.asarray(data.train.labels).tolist()) <= set(range(60))
    assert len(np.unique(np.asarray(data.train.labels))) == 40


# --- The shards of others -----------------------------------------------------------------------------------------------


def test_shards_of_others_are_counted_once(shards, recorded):
    first = opened(shards, recorded)
    assert recorded.meters["counting shards"] == [7, 7, "shards"]
    recorded.meters.clear()
    assert opened(shards, recorded).digest == first.digest
    assert "counting shards" not in recorded.meters
    assert first.spec.classes == tuple(map(str, range(77)))


def test_the_digest_follows_the_contents_and_not_the_place(shards, tmp_path, make_shards):
    first = opened(shards).digest
    shards.rename(tmp_path / "moved")
    assert opened(tmp_path / "moved").digest == first
    make_shards(10, split="test", start=68, name="moved")
    assert opened(tmp_path / "moved").digest != first


def test_classes_come_from_json_too_and_other_members_are_never_read(make_tar, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for at in range(4):
        extra = {f"{at}/b.pyd": pickle.dumps(Trap()), f"{at}/b.pth": b"x", "__meta__.json": b"{"}
        files = {
            f"{at}/{name}.{suffix}": content
            for name, animal in (("a", "cat"), ("b", "dog"))
            for suffix, content in (("JPG", png(at)), ("json", json.dumps({"label": animal, "more": [1]}).encode()))
        }
        make_tar({**files, **extra}, f"animals/{at:05d}.tar")
    data = opened(tmp_path / "animals")
    assert data.spec.classes == ("cat", "dog")
    assert sorted(numbers(training_batches(data, 2, 0).batch(0))) == [0, 1] or data.training_images == 4
    assert not (tmp_path / "sprung").exists()


def test_images_without_classes_are_unlabelled_and_a_note_counts_a_few(make_tar, tmp_path):
    for at in range(4):
        make_tar({f"{at}-{n}.webp": png(n + 10 * at) for n in range(3)}, f"bare/{at:04d}.tar")
        make_tar({"a.png": png(at), "a.cls": b"1", "b.png": png(at + 9)}, f"some/{at:04d}.tar")
    bare, some = opened(tmp_path / "bare"), opened(tmp_path / "some")
    assert training_batches(bare, 2, 0).batch(0).labels is None
    assert bare.spec.classes == some.spec.classes == ()
    assert any("4 of 8 images have no class" in note for note in some.notes)


def test_whole_shards_are_held_out_where_none_are_named(make_shards):
    data = opened(make_shards(*[10] * 12))
    assert data.training_images == 100
    assert "no shards are named for test: train-000011.tar is held out for it" in data.notes
    assert "no shards are named for validation: train-000010.tar is held out for it" in data.notes
    assert sorted(np.asarray(data.test.labels).tolist()) == list(range(110, 120))
    assert opened(make_shards(*[10] * 12), validation=0.0).training_images == 110


def test_validation_shards_without_test_shards_are_the_validation_images_as_with_folders(make_shards):
    make_shards(10, 10, 10)
    data = opened(make_shards(5, split="val", start=30))
    assert sorted(np.asarray(data.validation.labels).tolist()) == list(range(30, 35))
    assert sorted(np.asarray(data.test.labels).tolist()) == list(range(20, 30))
    assert data.training_images == 20


def test_a_single_shard_is_decoded_whole(make_shards):
    data = opened(make_shards(50))
    assert data.stream is None
    assert [len(split) for split in data.splits] == [41, 4, 5]
    data = opened(make_shards(6, split="test", start=50))
    assert data.stream is None
    assert [len(split) for split in data.splits] == [46, 4, 6]


def test_grey_images_among_colours_become_colours(make_shards):
    make_shards(10, 10)
    make_shards(4, split="val", start=20)
    assert training_batches(opened(make_shards(4, split="test", start=24, mode="RGB")), 5, 0).batch(0).images.shape == (
        5,
        3,
        3,
        4,
    )


def test_mixed_sizes_receive_the_smallest_side(make_shards, tmp_path):
    make_shards(10, 10, 10)
    folder = make_shards(4, split="test", start=30, size=(6, 6))
    assert opened(folder).spec.shape == (1, 3, 3)
    assert pack(DataConfig(data=str(folder)), tmp_path / "packed")["shape"] == [3, 3, 1]
    assert training_batches(opened(folder, size=3), 5, 0).batch(0).images.shape == (5, 1, 3, 3)


# --- Damaged shards -----------------------------------------------------------------------------------------------------


def test_an_undecodable_image_is_replaced_by_the_next_one_and_reported_once(make_tar, make_shards, recorded):
    make_shards(5, 5, 5)
    damaged = {f"{n}.{suffix}": content for n in range(5) for suffix, content in (("png", png(n)), ("cls", b"%d" % n))}
    make_tar({**damaged, "2.png": png(2)[:45]}, "shards/train-000000.tar")
    make_shards(4, split="val", start=15)
    data = opened(make_shards(4, split="test", start=20), recorded)
    batch_source = training_batches(data, 15, 0)
    assert batch_source.per_epoch == 1
    for number in range(3):
        found = numbers(batch_source.batch(number))
        assert len(found) == 15
        assert 2 not in found
        assert [n for n in set(found) if found.count(n) == 2] == [3]
    assert len([line for line in recorded.lines if line.startswith("train-000000.tar/2.png: truncated or damaged image")]) == 1
    assert len(data.train) == 14


def test_a_group_of_undecodable_images_only_is_an_error(make_tar, make_shards):
    make_shards(3, 3)
    make_shards(3, split="val", start=6)
    folder = make_shards(3, split="test", start=9)
    data = opened(folder)
    for at in range(2):
        damaged = {f"{n}.{suffix}": content for n in range(3) for suffix, content in (("png", png(n)[:45]), ("cls", b"%d" % n))}
        make_tar(damaged, f"shards/train-{at:06d}.tar")
    with pytest.raises(DataError, match=r"000001.tar/\d.png: truncated or damaged image, and so are all 6 images"):
        training_batches(data, 6, 0).batch(0)
    with pytest.raises(DataError, match="skipped 6 x truncated"):
        opened(folder, size=2)


@pytest.mark.parametrize("harm", ["gone", "truncated", "header", "other"])
def test_a_shard_that_breaks_while_training_is_named(shards, harm, make_tar):
    data = opened(shards)
    path = shards / "train-000002.tar"
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "other":
        make_tar({"1.png": png(1), "1.cls": b"1"}, "shards/train-000002.tar")
    else:
        path.write_bytes(content[:3000] if harm == "truncated" else content[:2048] + b"x" * 512 + content[2560:])
    with pytest.raises(DataError, match=r"train-000002.tar"):
        epoch(training_batches(data, 10, 0))


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path):
    folder = tmp_path / "shards"
    table = pack(DataConfig(), folder, 500)
    (folder / "test-000000.tar").write_bytes((folder / "test-000000.tar").read_bytes()[:-512])
    with pytest.raises(DataError, match=r"test-000000.tar has .* bytes, expected .*: copy or pack the shards again"):
        opened(folder)
    (folder / "test-000000.tar").unlink()
    with pytest.raises(DataError, match=r"test-000000.tar is missing"):
        opened(folder)
    for wrong, message in (({"format": 9}, "has format 9, expected 1"), ({"shards": 3}, "is damaged")):
        (folder / "shards.json").write_text(json.dumps({**table, **wrong}))
        with pytest.raises(DataError, match=message):
            opened(folder)
    outside = {"train": [{"file": "../shards/train-000000.tar", "images": 1, "size": 1}]}
    (folder / "shards.json").write_text(json.dumps({**table, "shards": outside}))
    with pytest.raises(DataError, match="is not a file of its folder"):
        opened(folder)


def test_a_truncated_shard_of_others_is_named_when_it_is_counted(shards):
    path = shards / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"train-000001.tar is damaged or truncated"):
        opened(shards)


def test_two_files_of_one_name_are_refused(make_tar, tmp_path):
    path = make_tar({"a.png": png(0)}, "twice/0001.tar")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"abcd"))
    with pytest.raises(DataError, match=r"0001.tar contains two files of one name"):
        opened(tmp_path / "twice")


def test_the_missing_package_is_named_with_what_to_install(shards, tmp_path, monkeypatch):
    for module in ("tariterators", "writer"):
        monkeypatch.setitem(sys.modules, f"webdataset.{module}", None)
    with pytest.raises(UsageError, match=r"not installed: pip install 'simulacra\[shards\]'"):
        opened(shards)
    with pytest.raises(UsageError, match=r"pip install 'simulacra\[shards\]'"):
        pack(DataConfig(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_test_path_is_refused_for_shards(shards):
    with pytest.raises(UsageError, match="--test-path is not for shards"):
        opened(shards, test_path=str(shards))
    with pytest.raises(DataError, match="contains no tar shards"):
        load(DataConfig(data="shards", path=str(shards.parent / "..")))
    with pytest.raises(DataError, match="is not a folder"):
        load(DataConfig(data="shards", path=str(shards / "train-000000.tar")))


def test_levels_are_measured_in_shards_of_16_bits(make_tar, tmp_path):
    images = np.random.default_rng(0).integers(100, 4000, (30, 4, 3)).astype(np.uint16)
    images[:, 0, 0], images[:, 0, 1] = 96, 4001
    for number, part in enumerate(np.split(images, 5)):
        files = {}
        for at, pixels in enumerate(part):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            files[f"{number}-{at}.png"] = buffer.getvalue()
        make_tar(files, f"wide/train-{number:03d}.tar")
    settled, data = load_settled(DataConfig(data=str(tmp_path / "wide"), levels="data"))
    assert settled.levels == "96..4001"
    assert data.spec.levels == (96, 4001)
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert data.stream is not None
    streamed_images = Streamed(data.stream, 6, 0).batch(0).images
    assert (float(streamed_images.min()), float(streamed_images.max())) == (0, 1)


# --- Looking at shards --------------------------------------------------------------------------------------------------


def test_folders_of_shards_are_distinguished_from_folders_of_images(tmp_path, shards, make_tar, make_folder):
    assert holds_shards(shards)
    make_tar({"1.png": png(0)}, "pair/train.tar")
    assert not holds_shards(tmp_path / "pair")
    make_tar({"1.png": png(0)}, "album/holiday-2024.tar")
    assert not holds_shards(make_folder({"1.png": png(1)}, "album"))
    assert not holds_shards(tmp_path / "nothing")


def test_an_archive_beside_the_folders_it_was_unpacked_to_is_no_shard(tmp_path, make_tar, make_folder):
    make_tar({"cats/1.png": png(0)}, "pets/pets2012.tar")
    others = {".cache/1.png": png(1), "notes/readme.txt": b"Pets", "runs/first/samples/1.png": png(1)}
    make_folder({**others, **{f"runs/first/{file}": b"" for file in RUN_FILES}}, "pets")
    assert holds_shards(tmp_path / "pets")
    for number in range(20):
        make_folder({f"all/{'cats' if number % 2 else 'dogs'}/{number}.png": png(number)}, "pets")
    assert not holds_shards(tmp_path / "pets")
    data = load(DataConfig(data=str(tmp_path / "pets")))
    assert data.spec.classes == ("cats", "dogs")
    assert data.training_images + len(data.validation) + len(data.test) == 20


def test_check_reads_every_image_of_shards(shards):
    checkup = check(DataConfig(data=str(shards)))
    assert (checkup.train, checkup.validation, checkup.test, dict(checkup.sizes)) == (60, 8, 9, {(3, 4): 77})
    assert {finding.kind for finding in checkup.findings} == {"few_images"}


def test_the_list_distinguishes_shards_from_images(shards, monkeypatch):
    monkeypatch.setenv("SIMULACRA_DATA", str(shards.parent))
    shards.rename(shards.with_name("pets"))
    (line,) = [item for item in names() if item.name == "pets"]
    assert (line.summary, line.prepared) == ("a folder of tar shards", False)
    load(DataConfig(data="pets"))
    (line,) = [item for item in names() if item.name == "pets"]
    assert line.prepared
