"""MNIST, Fashion-MNIST, CIFAR-10 and digits: locations, contents, and damaged copies."""

import gzip
import subprocess
import sys
from dataclasses import replace
from hashlib import md5, sha256

import numpy as np
import pytest

from simulacra.core.errors import DataError
from simulacra.core.progress import SILENT
from simulacra.data import download, sources
from simulacra.data.check import check
from simulacra.data.formats import idx
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.data.source import Item
from simulacra.data.sources import cifar10, digits, fashion_mnist, mnist
from simulacra.data.synthetic import toys
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES, SHAPE


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's data folder."""
    monkeypatch.setenv("SIMULACRA_DATA", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def small(monkeypatch, idx_files):
    """Fashion-MNIST with the digests of the small files, known under its name; no mirror answers."""
    digests = {name: sha256(content).hexdigest() for name, content in idx_files.items()}
    source = replace(fashion_mnist.SOURCE, digests=digests, mirrors=("http://127.0.0.1:9",))
    monkeypatch.setattr(sources, "sources", lambda: {"fashion-mnist": source})
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    return source


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("place", ["own/fashion-mnist", "own", "cache/fashion-mnist"])
@pytest.mark.usefixtures("own")
def test_idx_files_are_found_plain_and_gzipped_in_every_home(small, idx_files, put, tmp_path, *, ending, place):
    put(tmp_path / place, {name + ending: content for name, content in idx_files.items()})
    data = load(DataConfig(data="fashion-mnist"))
    assert [len(split) for split in data.splits] == [55, 5, 20]
    assert data.spec.shape == (1, 28, 28)
    assert data.spec.classes[0] == "T-shirt/top"
    stored = idx.parse(idx_files["t10k-images-idx3-ubyte"], "test")
    assert sorted(image.tobytes() for image in data.test.images) == sorted(image.tobytes() for image in stored)
    assert small.place() == str(tmp_path / place)


def test_labels_of_idx_files_stay_with_their_images(small, idx_files, put, cache):
    put(cache / "fashion-mnist", idx_files)
    data = load(DataConfig(data="fashion-mnist"))
    images = idx.parse(idx_files["train-images-idx3-ubyte"], "train")
    known = {image.tobytes(): at % 10 for at, image in enumerate(images)}
    assert [known[image.tobytes()] for image in data.train.images] == np.asarray(data.train.labels).tolist()


def test_recompressed_copies_pass_and_other_contents_do_not(small, idx_files, put, cache):
    put(cache / "fashion-mnist", idx_files)
    path = cache / "fashion-mnist" / "train-labels-idx1-ubyte"
    path.rename(path.with_suffix(".gz"))
    path.with_suffix(".gz").write_bytes(gzip.compress(idx_files[path.name], 9, mtime=1))
    first = load(DataConfig(data="fashion-mnist")).digest
    put(cache / "fashion-mnist", {"train-labels-idx1-ubyte": b"\0" + idx_files[path.name][1:-1] + b"\7"})
    with pytest.raises(
        DataError, match=r"train-labels-idx1-ubyte has sha256 .* expected .*: it is damaged or of another data set"
    ):
        load(DataConfig(data="fashion-mnist"))
    path.unlink()
    assert load(DataConfig(data="fashion-mnist")).digest == first


def test_a_truncated_gzip_file_is_refused_by_name(small, idx_files, put, cache):
    put(cache / "fashion-mnist", {name + ".gz": content for name, content in idx_files.items()})
    path = cache / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz cannot be read .*: delete it and fetch it again"):
        load(DataConfig(data="fashion-mnist"))


def test_a_gzip_bomb_is_refused(small, idx_files, put, cache, monkeypatch):
    put(cache / "fashion-mnist", {name + ".gz": content for name, content in idx_files.items()})
    monkeypatch.setattr(idx, "_LIMIT", 100)
    with pytest.raises(DataError, match="decompression bomb is refused"):
        load(DataConfig(data="fashion-mnist"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\1\0\0\0\0", "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\2\0\0\0\1", "not an IDX file"),
        (b"\0\0\x08\1\0\0\0\5abc", r"declares \(5,\) values but contains 3"),
        (b"\0\0\x08\3" + b"\xff" * 12, "declares"),
    ],
)
def test_what_is_no_idx_file_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        idx.parse(content, "some file")


def test_without_a_network_the_error_names_files_folder_and_the_embedded_alternative(small, idx_files, put, cache):
    put(cache / "fashion-mnist", {"t10k-images-idx3-ubyte": idx_files["t10k-images-idx3-ubyte"]})
    with pytest.raises(DataError) as caught:
        load(DataConfig(data="fashion-mnist"))
    message = str(caught.value)
    assert "put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-labels-idx1-ubyte (plain or .gz) into" in message
    assert str(cache / "fashion-mnist") in message
    assert "--data digits, which needs no download" in message
    assert "\n" not in message
    assert small.place() is None


def test_the_real_digests_are_those_of_complete_sets():
    for source in (mnist.SOURCE, fashion_mnist.SOURCE):
        assert sorted(source.digests) == sorted(f"{side}-{kind}" for side in ("train", "t10k") for kind in _KINDS)
        assert all(len(digest) == 64 for digest in source.digests.values())
        assert len(source.classes) == 10


_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


@pytest.fixture
def small_cifar(monkeypatch):
    """CIFAR-10 of six files with four records each, and their contents by name."""
    random = np.random.default_rng(0)
    files = {}
    for name in cifar10.SOURCE.digests:
        records = random.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] = [0, 3, 9, 5]
        files[name] = records.tobytes()
    digests = {name: md5(content).hexdigest() for name, content in files.items()}
    source = replace(cifar10.SOURCE, digests=digests, per_file=4, mirrors=("http://127.0.0.1:9/cifar-10-binary.tar.gz",))
    monkeypatch.setattr(sources, "sources", lambda: {"cifar10": source})
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    return source, files


def members(files):
    return {f"cifar-10-batches-bin/{name}": content for name, content in {**files, "readme.html": b"x"}.items()}


@pytest.mark.parametrize("packing", ["cifar-10-binary.tar.gz", "cifar-10-binary.tar", "folder", "loose"])
def test_cifar10_is_read_from_the_archive_and_from_unpacked_files(small_cifar, make_tar, put, cache, packing):
    _, files = small_cifar
    if packing == "folder":
        put(cache / "cifar10" / "cifar-10-batches-bin", files)
    elif packing == "loose":
        put(cache / "cifar10", files)
    else:
        make_tar(members(files), f"cache/cifar10/{packing}")
    data = load(DataConfig(data="cifar10"))
    assert [len(split) for split in data.splits] == [18, 2, 4]
    assert data.spec.shape == (3, 32, 32)
    record = np.frombuffer(files["test_batch.bin"], np.uint8)[3073 : 2 * 3073]
    planes = record[1:].reshape(3, 32, 32)  # red, green, blue
    (at,) = np.flatnonzero(data.test.labels == 3)
    assert data.spec.classes[3] == "cat"
    assert np.array_equal(data.test.images[at].transpose(2, 0, 1), planes)
    assert np.array_equal(data.test.batch(np.array([at])).images[0].mul(255).round().byte().numpy(), planes)


def test_damaged_or_incomplete_cifar10_is_refused_by_name(small_cifar, make_tar, cache):
    _, files = small_cifar
    archive = "cache/cifar10/cifar-10-binary.tar.gz"
    make_tar(members({**files, "test_batch.bin": bytes(4 * 3073)}), archive)
    with pytest.raises(DataError, match=r"test_batch.bin has md5 .*, expected .*damaged"):
        load(DataConfig(data="cifar10"))
    make_tar(members({**files, "test_batch.bin": b"short"}), archive)
    with pytest.raises(DataError, match=r"test_batch.bin has 5 bytes, expected 12292"):
        load(DataConfig(data="cifar10"))
    make_tar(members({name: content for name, content in files.items() if name != "data_batch_3.bin"}), archive)
    with pytest.raises(DataError, match=r"lacks data_batch_3.bin"):
        load(DataConfig(data="cifar10"))


def test_cifar10_without_a_network_names_the_remedy(small_cifar):
    with pytest.raises(DataError, match=r"put cifar-10-binary.tar.gz into .*, or use --data digits"):
        load(DataConfig(data="cifar10"))


def test_digits_are_scaled_to_the_full_range_and_always_split_alike():
    data = load(DataConfig())
    assert data.name == "digits"
    assert [len(split) for split in data.splits] == [1375, 125, 297]
    assert data.spec.shape == (1, 8, 8)
    assert data.spec.classes == tuple("0123456789")
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert data.digest == "a763bf64" + data.digest[8:]


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    material = digits.SOURCE.find(DataConfig(), SILENT)
    with material.open() as reading:
        total = sum(item.pixels.astype(int).sum() for item in reading.items if isinstance(item, Item))
    assert total == np.rint(load_digits().data * 255 / 16).sum()


def test_the_list_has_the_location_of_each_source(own, make_folder, make_picture, idx_files, put):
    make_folder({"a/1.png": make_picture()}, "own/kittens")
    put(own / "mnist", idx_files)
    load(DataConfig())
    rows = {row.name: row for row in sources.names()}
    known = {"array", "cifar10", "digits", "fashion-mnist", "folder", "grid", "mnist", "moons", "ring", "shards", "textures"}
    assert {name for name in rows if not name.startswith("NAME-")} == known | {"kittens"}
    assert (rows["digits"].where, rows["digits"].prepared) == ("embedded", True)
    assert (rows["mnist"].where, rows["mnist"].prepared) == (str(own / "mnist"), False)
    assert rows["fashion-mnist"].where == "not here"
    assert rows["kittens"].where == str(own / "kittens")
    assert all(row.summary for row in rows.values())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import simulacra.data.settings", ["torch", "PIL", "sklearn", "numpy"]),
        ("from simulacra.data.sources import names; names()", ["torch", "PIL", "sklearn"]),
    ],
)
def test_light_modules_stay_light(statement, absent):
    check = f"{statement}; import sys; print([name for name in {absent!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["ring", "grid", "moons"])
def test_toy_points_are_images_of_two_values_with_their_modes_as_classes(name, monkeypatch):
    monkeypatch.setattr(toys, "_COUNTS", (("train", 6000), ("test", 1000)))
    data = load(DataConfig(data=name))
    density = KNOWN_DENSITIES[name]
    assert [len(split) for split in data.splits] == [5_500, 500, 1_000]
    assert data.spec.shape == SHAPE
    assert len(data.spec.classes) == len(density.shares)
    modes, distances = density.nearest(data.test.images.reshape(-1, 2))
    assert np.array_equal(modes, np.asarray(data.test.labels))
    assert distances.max() < 6.5


def test_points_are_not_taken_for_copies_of_each_other(monkeypatch):
    monkeypatch.setattr(toys, "_COUNTS", (("train", 6000), ("test", 1000)))
    assert check(DataConfig(data="ring")).healthy
