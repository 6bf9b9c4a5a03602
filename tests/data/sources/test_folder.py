"""Folders and archives of images: classes, splits, and files that are refused."""

import io
import os
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats import archives
from simulacra.data.load import load, load_settled
from simulacra.data.preparation.settled import size_for
from simulacra.data.settings import DataConfig, DomainsConfig


@pytest.fixture
def cats_and_dogs(make_picture):
    return {f"{kind}/{at:02d}.png": make_picture(100 * (kind == "dogs") + at) for kind in ("cats", "dogs") for at in range(10)}


def labels(split):
    return np.asarray(split.labels).tolist()


def read(path, **settings):
    return load(DataConfig(data=str(path), **settings))


def test_a_folder_gives_classes_and_a_tenth_for_testing(make_folder, cats_and_dogs):
    data = read(make_folder(cats_and_dogs))
    assert data.name == "pictures"
    assert data.spec.classes == ("cats", "dogs")
    assert data.spec.shape == (3, 8, 8)
    assert [len(split) for split in data.splits] == [16, 2, 2]
    assert data.skipped.total == 0


def test_labels_belong_to_their_images(make_folder, make_picture):
    from simulacra.data.formats.pixels import decode

    files = {f"{kind}/{at}.png": make_picture(10 * kind + at) for kind in range(3) for at in range(5)}
    data = read(make_folder(files))
    known = {decode(content).tobytes(): int(name[0]) for name, content in files.items()}
    for split in data.splits:
        for image, label in zip(split.images, labels(split), strict=True):
            assert known[image.tobytes()] == label


def test_a_folder_and_its_archives_give_the_same_digest_pixels_and_splits(make_folder, make_tar, make_zip, cats_and_dogs):
    backwards = dict(reversed(cats_and_dogs.items()))
    wrapped = {f"set/{name}": content for name, content in backwards.items()}
    folder = read(make_folder(cats_and_dogs))
    for path in (make_tar(backwards), make_tar(wrapped, "wrapped.tar.gz"), make_zip(backwards), make_zip(wrapped, "w.zip")):
        other = read(path)
        assert other.digest == folder.digest
        for one, two in zip(folder.splits, other.splits, strict=True):
            assert np.array_equal(one.images, two.images)
            assert np.array_equal(one.labels, two.labels)


def test_the_digest_changes_with_contents_classes_and_sides(make_folder, cats_and_dogs, make_picture):
    first = read(make_folder(cats_and_dogs)).digest
    changed = {**cats_and_dogs, "cats/00.png": make_picture(999)}
    moved = {name.replace("cats/00", "dogs/99"): content for name, content in cats_and_dogs.items()}
    assert len({first, read(make_folder(changed, "b")).digest, read(make_folder(moved, "c")).digest}) == 3


def test_train_and_test_folders_are_the_splits(make_folder, cats_and_dogs, make_picture):
    files = {f"train/{name}": content for name, content in cats_and_dogs.items()}
    data = read(make_folder({**files, "test/dogs/1.png": make_picture(500)}))
    assert [len(split) for split in data.splits] == [18, 2, 1]
    assert data.spec.classes == ("cats", "dogs")
    assert labels(data.test) == [1]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_a_folder_of_two_archives_gives_both_splits(tmp_path, make_archive, cats_and_dogs, make_picture, suffix):
    make = make_archive(suffix)
    (tmp_path / "set").mkdir()
    make({f"train/{name}": content for name, content in cats_and_dogs.items()}, f"set/train{suffix}")
    make({"test/dogs/1.png": make_picture(500)}, f"set/test{suffix}")
    data = read(tmp_path / "set")
    assert data.name == "set"
    assert [len(split) for split in data.splits] == [18, 2, 1]
    assert labels(data.test) == [1]


def test_a_separate_test_path_supplies_the_test_split(make_folder, make_zip, cats_and_dogs, make_picture):
    tests = make_zip({"dogs/1.png": make_picture(500), "cats/1.png": make_picture(501)})
    data = load(DataConfig(data="folder", path=str(make_folder(cats_and_dogs)), test_path=str(tests)))
    assert [len(split) for split in data.splits] == [18, 2, 2]
    assert sorted(labels(data.test)) == [0, 1]


def test_a_name_inside_the_data_folder_is_found(tmp_path, monkeypatch, make_folder, cats_and_dogs):
    make_folder(cats_and_dogs, "mine/pets")
    monkeypatch.setenv("SIMULACRA_DATA", str(tmp_path / "mine"))
    assert load(DataConfig(data="pets")).name == "pets"


def test_images_in_no_folder_have_no_classes(make_folder, make_picture, recorded):
    data = read(make_folder({f"{at}.png": make_picture(at) for at in range(5)}))
    assert data.train.labels is None
    assert data.spec.classes == ()


def test_loose_images_beside_class_folders_are_kept_without_classes_and_reported(
    make_folder, cats_and_dogs, make_picture, recorded
):
    data = load(DataConfig(data=str(make_folder({**cats_and_dogs, "stray.png": make_picture(9)}))), recorded)
    assert sum(len(split) for split in data.splits) == 21
    assert data.train.labels is None
    assert "1 of 21 images lie outside class folders" in recorded.lines[0]
    assert data.notes[0] in recorded.lines[0]


def test_class_names_that_are_numbers_are_in_the_order_of_numbers(make_folder, make_picture):
    data = read(make_folder({f"{kind}/x.png": make_picture(kind) for kind in range(12)}))
    assert data.spec.classes == tuple(map(str, range(12)))


def test_preparing_shows_a_meter(make_folder, cats_and_dogs, recorded):
    load(DataConfig(data=str(make_folder(cats_and_dogs))), recorded)
    assert recorded.meters["preparing pictures"] == [20, 20, "images"]


def test_what_is_skipped_is_counted_with_the_reason(make_folder, cats_and_dogs, make_picture, recorded):
    odd = {
        "notes.txt": b"hello",
        "cats/.hidden.png": b"x",
        "__MACOSX/cats/1.png": b"x",
        "Thumbs.db": b"x",
        "dogs/cut.PNG": make_picture(1)[:60],
        "dogs/empty.jpg": b"",
        "dogs/lie.png": b"no image",
    }
    data = load(DataConfig(data=str(make_folder({**cats_and_dogs, **odd}))), recorded)
    assert data.skipped.counts == {
        "not an image (.txt)": 1,
        "hidden or system file": 3,
        "truncated or damaged image": 1,
        "empty file": 1,
        "no image, or its header is damaged": 1,
    }
    assert data.skipped.examples["truncated or damaged image"] == ("dogs/cut.PNG",)
    assert sum(len(split) for split in data.splits) == 20
    assert "1 x empty file (such as dogs/empty.jpg)" in recorded.lines[0]
    again = read(data_path := Path(str(make_folder({}))))
    assert again.skipped == data.skipped, data_path


def test_grey_images_make_a_grey_set_and_one_coloured_one_a_coloured_set(make_folder, make_picture):
    greys = {f"{at}.png": make_picture(at, mode="L") for at in range(6)}
    assert read(make_folder(greys)).spec.channels == 1
    mixed = read(make_folder({**greys, "6.png": make_picture(6)}, "mixed"))
    assert mixed.spec.channels == 3
    images = np.concatenate([split.images for split in mixed.splits])
    assert sum(np.ptp(image, axis=2).max() == 0 for image in images) == 6


@pytest.mark.parametrize(("channels", "shape"), [(1, (1, 97, 64)), (3, (3, 97, 64))])
def test_any_height_and_width_and_either_number_of_channels(make_folder, make_picture, channels, shape):
    data = read(make_folder({f"{at}.png": make_picture(at, (64, 97)) for at in range(4)}), channels=channels)
    assert data.spec.shape == shape
    assert data.train.head(2).images.shape == (2, *shape)


def test_mixed_sizes_receive_the_smallest_side_or_64_said_once(make_folder, make_archive, make_picture, recorded):
    files = {f"{at}.png": make_picture(at, (20, 10) if at < 3 else (9, 30)) for at in range(4)}
    config, data = load_settled(DataConfig(data=str(make_folder(files))), recorded)
    assert (config.size, data.spec.shape) == (9, (3, 9, 9))
    seen = "images have 2 sizes, most often 20x10: resized and cropped to 9x9; --size N chooses another size"
    assert recorded.lines == [f"pictures: {seen}"]
    again, same = load_settled(config)
    assert (again, same.digest) == (config, data.digest)
    large = {f"{at}.png": make_picture(at, (80 + at, 70)) for at in range(4)}
    for name in ("pictures.tar", "pictures.tgz", "pictures.zip"):
        assert load_settled(DataConfig(data=str(make_archive(name)(large, name))))[0].size == 64
    assert read(make_folder(files), size=16).spec.shape == (3, 16, 16)


def test_images_of_one_size_keep_it_also_beside_damaged_ones_of_another(make_folder, make_picture):
    whole = {f"{at}.png": make_picture(at, (7, 6)) for at in range(4)}
    config, data = load_settled(DataConfig(data=str(make_folder({**whole, "cut.png": make_picture(9, (9, 9))[:60]}))))
    assert (config.size, data.spec.shape, data.skipped.total) == (0, (3, 6, 7), 1)


def test_a_few_icons_do_not_make_all_images_small():
    assert size_for({(100, 100): 95, (90, 80): 4, (1, 1): 1}) == 64
    assert size_for({(100, 100): 18, (16, 20): 2}) == 16


def test_two_domains_receive_one_size(make_folder, make_picture, recorded):
    summer = make_folder({f"{at}.png": make_picture(at, (20, 12)) for at in range(4)}, "summer")
    winter = make_folder({f"{at}.png": make_picture(at, (14, 10)) for at in range(4)}, "winter")
    config, data = load_settled(DomainsConfig(a=str(summer), b=str(winter)), recorded)
    assert config.size == 10
    assert {one.spec.shape for one in data.domains.values()} == {(3, 10, 10)}
    assert recorded.lines[0].startswith("summer and winter: images have 2 sizes")


def test_the_size_of_mixed_images_is_that_of_chosen_classes_and_of_transforms(make_folder, make_picture):
    folder = make_folder({f"{'ab'[at % 2]}/{at}.png": make_picture(at, (8 + at, 8)) for at in range(8)})
    assert load_settled(DataConfig(data=str(folder), only_classes="a"))[0].size == 8
    assert load_settled(DataConfig(data=f"{folder}-inverted"))[0].size == 8


def test_a_folder_without_images_is_refused_with_the_reasons(make_folder, tmp_path):
    with pytest.raises(DataError, match=r"no images for training; skipped 2 x not an image \(.txt\) \(such as a.txt\)"):
        read(make_folder({"a.txt": b"", "b.txt": b""}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images for training, and is empty"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/such/place", "no such file or folder.*no/such/place"),
        ("nothing.zip", "no such file or folder.*nothing.zip"),
        ("a\0b/c", "no such file or folder"),
        ("x" * 5000 + "/y", "no such file or folder"),
    ],
)
def test_a_path_that_is_not_there_is_refused_by_name(name, message):
    with pytest.raises(DataError, match=message):
        read(name)
    with pytest.raises(DataError, match="cannot be read"):
        load(DataConfig(data="folder", path=name))


def test_a_file_that_is_no_archive_is_refused(tmp_path, make_picture):
    path = tmp_path / "letter.doc"
    path.write_bytes(b"Dear Sir or Madam" * 100)
    with pytest.raises(DataError, match="neither a folder nor a readable tar or zip archive"):
        read(path)
    path = tmp_path / "one.png"
    path.write_bytes(make_picture())
    with pytest.raises(DataError, match="single image: give the folder"):
        read(path)


def test_unreadable_folders_and_files_are_reported(make_folder, cats_and_dogs, monkeypatch):
    folder = make_folder(cats_and_dogs)
    real_scan, real_read = os.scandir, Path.read_bytes

    def scan(path):
        if str(path).endswith("dogs"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)

    def read_bytes(path):
        if path.name == "03.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real_read(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    counts = read(folder).skipped.counts
    assert counts == {"cannot be read: Permission denied": 2}
    (folder / "dogs").rename(folder.parent / "dogs")
    folder = folder.parent / "dogs"
    with pytest.raises(DataError, match="Permission denied: check its permissions"):
        read(folder)


def test_links_in_a_folder_are_followed_once(make_folder, cats_and_dogs, tmp_path, make_picture):
    folder = make_folder(cats_and_dogs)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(make_picture(7))
    (folder / "birds").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "cats" / "gone.png").symlink_to(folder / "nowhere.png")
    data = read(folder)
    assert data.spec.classes == ("birds", "cats", "dogs")
    assert data.skipped.counts == {"cannot be read: No such file or directory": 1}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_folder_with_several_names_counts_by_its_own_in_any_order_of_listing(
    backwards, make_folder, cats_and_dogs, monkeypatch
):
    folder = make_folder({**cats_and_dogs, ".store/v1/1.png": next(iter(cats_and_dogs.values()))})
    (folder / "all").mkdir()
    for link, target in (("all/felines", "../cats"), ("aaa", "cats"), ("zzz", "dogs"), ("owls", ".store/v1")):
        (folder / link).symlink_to(target)

    @contextmanager
    def listed(path):
        with scandir(path) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=backwards)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", listed)
    assert {entry.name.rpartition("/")[0] for entry in archives.walk(folder)} == {"cats", "dogs", "owls"}


def special(name, kind, target="", size=0):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


def test_members_that_lead_out_of_a_tar_and_links_and_devices_are_refused(make_tar, cats_and_dogs, make_picture):
    evil = {"../up.png": make_picture(1), "/etc/abs.png": make_picture(2), "cats/../../x.png": make_picture(3)}
    extra = [
        special("cats/link.png", tarfile.SYMTYPE, "/etc/passwd"),
        special("cats/hard.png", tarfile.LNKTYPE, "cats/00.png"),
        special("cats/device.png", tarfile.CHRTYPE),
        special("cats/pipe.png", tarfile.FIFOTYPE),
    ]
    data = read(make_tar({**cats_and_dogs, **evil}, extra=extra))
    assert data.skipped.counts == {
        "path that leads out of the archive": 3,
        "link inside an archive": 2,
        "device or pipe inside an archive": 2,
    }
    assert sum(len(split) for split in data.splits) == 20


def test_members_that_lead_out_of_a_zip_and_links_are_refused(make_zip, cats_and_dogs, make_picture):
    evil = {
        "../up.png": make_picture(1),
        "/abs.png": make_picture(2),
        "..\\up.png": make_picture(3),
        "C:\\x.png": make_picture(4),
    }
    path = make_zip({**cats_and_dogs, **evil})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("cats/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    data = read(path)
    assert data.skipped.counts == {"path that leads out of the archive": 4, "link inside an archive": 1}


def test_reading_archives_writes_nothing_beside_the_cache(make_tar, cats_and_dogs, make_picture, tmp_path):
    path = make_tar({**cats_and_dogs, "../up.png": make_picture(1)}, "in/side/pictures.tar")
    read(path)
    assert sorted(file.name for file in tmp_path.rglob("*.png")) == []


def test_an_encrypted_or_oddly_compressed_or_damaged_zip_member_is_skipped(make_zip, cats_and_dogs, make_picture):
    path = make_zip({**cats_and_dogs, "secret.png": b"s" * 50, "rotten.png": np.random.default_rng(0).bytes(500)})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("odd.png", make_picture(3))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02", content.index(b"secret.png") + 50)
    while content[entry + 46 : entry + 56] != b"secret.png":
        entry = content.index(b"PK\x01\x02", entry + 1)
    content[entry + 8] |= 1
    content[content.index(b"rotten.png") + 100] ^= 255
    path.write_bytes(content)
    assert read(path).skipped.counts == {"encrypted": 1, "compressed by an unusual method": 1, "damaged in the archive": 1}


def test_of_two_members_of_one_name_the_later_counts(tmp_path, make_picture):
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for seed in (1, 2):
            for at in range(2):
                content = make_picture(seed)
                member = tarfile.TarInfo(f"{at}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    data = read(path)
    assert data.skipped.counts == {"replaced by a later file of the same name": 2}
    assert sum(len(split) for split in data.splits) == 2


@pytest.mark.parametrize("name", ["cut.tar", "cut.tar.gz", "cut.zip"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_truncated_archive_is_refused_as_a_whole(make_archive, cats_and_dogs, name, share):
    path = make_archive(name)(cats_and_dogs, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"damaged or truncated|neither a folder nor"):
        read(path)


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.zip"])
def test_an_archive_that_grows_too_much_is_refused(make_archive, name, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FREE", 10_000)
    path = make_archive(name)({"a.png": bytes(10**6), "b.png": bytes(10**6)}, name)
    with pytest.raises(DataError, match="decompression bomb is refused"):
        read(path)


@pytest.mark.parametrize("name", ["big.tar", "big.zip"])
def test_a_member_that_is_too_large_is_skipped(make_archive, cats_and_dogs, name, monkeypatch):
    monkeypatch.setattr(archives, "FILE_LIMIT", 2**20)
    path = make_archive(name)({**cats_and_dogs, "cats/big.png": bytes(2**20 + 1)}, name)
    assert read(path).skipped.counts == {"file of more than 1 MiB": 1}


def test_a_zip_member_that_lies_about_its_size_is_not_inflated_whole(make_zip, cats_and_dogs, monkeypatch):
    path = make_zip({**cats_and_dogs, "cats/lie.png": bytes(10**6)})
    content = path.read_bytes()
    content = content.replace(struct.pack("<I", 10**6), struct.pack("<I", 1000))
    path.write_bytes(content)
    most = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, *arguments):
            self.inner = real(*arguments)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decompress(self, data, limit=0):
            found = self.inner.decompress(data, limit)
            most.append(len(found))
            return found

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    monkeypatch.setattr(archives, "FILE_LIMIT", 5000)
    assert read(path).skipped.counts == {"damaged in the archive": 1}
    assert max(most) < 100_000


def test_a_tar_whose_header_is_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FILE_LIMIT", 10_000)
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.png")
        member.pax_headers = {"comment": "x" * 100_000}
        archive.addfile(member)
    with pytest.raises(DataError, match="a header of"):
        read(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "folder"}, "--data folder needs --path"),
        ({"data": "mnist", "path": "x"}, "--path is for --data folder"),
        ({"channels": 2}, "expected 0 .as they are., 1 .grey. or 3"),
        ({"size": -1}, "expected at least 0"),
        ({"validation": 1.5}, "expected in"),
    ],
)
def test_contradicting_settings_are_usage_errors(settings, message):
    with pytest.raises(UsageError, match=message):
        DataConfig(**settings)


def test_an_unknown_name_is_a_usage_error_that_suggests_the_nearest(tmp_path, monkeypatch, make_folder):
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        load(DataConfig(data="mnits"))
    make_folder({"a/x.png": b""}, "mine/kittens")
    monkeypatch.setenv("SIMULACRA_DATA", str(tmp_path / "mine"))
    with pytest.raises(UsageError, match="did you mean 'kittens'"):
        load(DataConfig(data="kitten"))
    with pytest.raises(UsageError, match=r"unknown data set .* ''"):
        load(DataConfig(data=""))


def test_named_sets_and_sets_with_their_own_test_images_refuse_a_test_path(make_folder, make_picture):
    with pytest.raises(UsageError, match="digits has its own test images"):
        load(DataConfig(data="digits", test_path="x"))
    make_folder({"a.png": make_picture()}, "set")
    folder = make_folder({"train.tar": b"", "test.tar": b""}, "pair")
    with pytest.raises(UsageError, match="its own test images"):
        load(DataConfig(data="folder", path=str(folder), test_path=str(folder)))
