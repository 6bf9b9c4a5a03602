"""Prepared images are written atomically, found again, and rebuilt when damaged."""

import io
import os
import signal
import threading
import time

import numpy as np
import pytest
from tests.processes import FORKSERVER

from simulacra.core.errors import DataError
from simulacra.data.formats.fitting import fitted
from simulacra.data.load import load
from simulacra.data.preparation import prepare as module
from simulacra.data.preparation import prepared as publishing
from simulacra.data.settings import DataConfig


@pytest.fixture
def folder(make_folder, make_picture):
    return make_folder({f"{kind}/{at}.png": make_picture(10 * ord(kind) + at) for kind in "ab" for at in range(10)})


@pytest.fixture
def decoded(monkeypatch):
    """The names of all images that are decoded, in order."""
    seen = []
    real = fitted

    def take(item, *rest):
        seen.append(item.name)
        return real(item, *rest)

    monkeypatch.setattr(module, "fitted", take)
    return seen


def read(folder, **settings):
    return load(DataConfig(data=str(folder), **settings))


def same(one, two):
    return one.digest == two.digest and all(
        np.array_equal(a.images, b.images) for a, b in zip(one.splits, two.splits, strict=True)
    )


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def rewrite(path, content):
    path.unlink()  # a mapped file must not shrink under its readers
    path.write_bytes(content)


def prepared(cache):
    (found,) = [path for path in (cache / "prepared").iterdir() if not path.name.startswith(".")]
    return found


def test_images_are_decoded_once_and_memory_mapped_after_that(folder, decoded):
    first = read(folder)
    assert len(decoded) == 20
    second = read(folder)
    assert len(decoded) == 20
    assert same(first, second)
    images = second.train.images
    while images.base is not None and not isinstance(images, np.memmap):
        images = images.base
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        second.train.images[0] = 0


def test_settings_of_the_splits_need_no_new_decoding_but_size_and_channels_do(folder, decoded):
    read(folder)
    assert [len(split) for split in read(folder, validation=0.5, limit=3).splits] == [3, 9, 2]
    assert len(decoded) == 20
    assert read(folder, size=4).spec.shape == (3, 4, 4)
    assert read(folder, channels=1).spec.shape == (1, 8, 8)
    assert len(decoded) == 60


def test_a_changed_source_is_prepared_anew(folder, decoded, make_picture):
    first = read(folder)
    (folder / "a" / "0.png").write_bytes(make_picture(77))
    assert read(folder).digest != first.digest
    (folder / "a" / "new.png").write_bytes(make_picture(78))
    assert sum(len(split) for split in read(folder).splits) == 21


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "facts.json").write_text("{"),
        lambda path: (path / "facts.json").write_text("[]"),
        lambda path: (path / "facts.json").unlink(),
        lambda path: rewrite(path / "images.npy", (path / "images.npy").read_bytes()[:-1]),
        lambda path: rewrite(path / "images.npy", b""),
        lambda path: (path / "labels.npy").unlink(),
        lambda path: np.save(path / "labels.npy", np.zeros(3, dtype=np.int64)),
        lambda path: np.save(path / "labels.npy", np.full(20, 2)),
        lambda path: rewrite(path / "images.npy", (path / "labels.npy").read_bytes()),
        lambda path: [file.unlink() for file in path.iterdir()],
        lambda path: rewrite(path / "images.npy", saved(np.zeros((20, 8, 7, 3), np.uint8))),
    ],
    ids=range(11),
)
def test_damaged_prepared_images_are_rebuilt(folder, cache, decoded, damage):
    first = read(folder)
    damage(prepared(cache))
    assert same(read(folder), first)
    assert len(decoded) == 40
    assert same(read(folder), first)
    assert len(decoded) == 40
    assert not list((cache / "prepared").glob(".*"))


@pytest.mark.long
def test_a_preparation_killed_halfway_is_ignored_and_done_again(folder, cache):
    script = f"""
import os, signal
os.environ["SIMULACRA_CACHE"] = {str(cache)!r}
from simulacra.data.preparation import prepare
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
real, seen = prepare.fitted, []
def take(*arguments):
    seen.append(1)
    if len(seen) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
prepare.fitted = take
load(DataConfig(data={str(folder)!r}))
"""
    killed = FORKSERVER.Process(target=exec, args=(script, {}))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    (left,) = (cache / "prepared").iterdir()
    assert left.name.startswith(".making-")
    assert sum(len(split) for split in read(folder).splits) == 20
    assert left.exists()  # it might be another preparer at work
    os.utime(left, (time.time() - 10**6,) * 2)
    read(folder, size=4)
    assert not left.exists()


def test_a_preparation_that_fails_leaves_nothing(folder, cache, monkeypatch):
    def fail(*arguments):
        raise RuntimeError

    monkeypatch.setattr(module, "_store", fail)
    with pytest.raises(RuntimeError):
        read(folder)
    assert list((cache / "prepared").iterdir()) == []


def test_preparers_at_the_same_time_do_not_harm_each_other(folder, cache, monkeypatch):
    together = threading.Barrier(4, timeout=20)
    real, found, failed = publishing.publish, [], []

    def publish(*arguments):
        together.wait()
        real(*arguments)

    def work():
        try:
            found.append(read(folder))
        except Exception as error:
            failed.append(error)

    monkeypatch.setattr("simulacra.data.preparation.prepare.publish", publish)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert len(found) == 4
    assert all(same(found[0], other) for other in found)
    assert len(list((cache / "prepared").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_an_error_with_the_remedy(folder, cache, monkeypatch):
    cache.write_text("a file where the cache folder should be")
    with pytest.raises(
        DataError, match=r"cannot write prepared images to .*, or set SIMULACRA_CACHE to a folder you can write to"
    ):
        read(folder)


def test_a_full_disk_is_an_error_with_the_remedy(folder, cache, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_store", fail)
    with pytest.raises(DataError, match="No space left on device: free some space, or set SIMULACRA_CACHE"):
        read(folder)
    assert list((cache / "prepared").iterdir()) == []


def test_archives_of_equal_size_are_distinguished_by_path_and_time(make_tar, make_picture, tmp_path):
    names = ["one.tar", "two.tar"]
    paths = [make_tar({f"{at}.bmp": make_picture(9 * seed + at, kind="BMP") for at in range(4)}, names[seed]) for seed in (0, 1)]
    assert paths[0].stat().st_size == paths[1].stat().st_size
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))
    first, second = map(read, paths)
    assert first.digest != second.digest
    paths[1].replace(paths[0])
    os.utime(paths[0], ns=(10**18, 10**18 + 1))
    assert read(paths[0]).digest == second.digest
