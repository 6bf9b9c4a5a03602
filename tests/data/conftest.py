"""Fixtures of the data tests: an empty cache for each test, and functions that create images, folders and archives."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIMULACRA_CACHE", str(folder))
    monkeypatch.delenv("SIMULACRA_DATA", raising=False)
    return folder


def picture(seed=0, size=(8, 8), mode="RGB", kind="PNG"):
    """Return the bytes of a random picture; size is (width, height)."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def make_folder(tmp_path):
    def make(files, name="pictures"):
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture
def make_tar(tmp_path):
    def make(files, name="pictures.tar", extra=()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(file)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            for member in extra:
                archive.addfile(member)
        return path

    return make


@pytest.fixture
def make_zip(tmp_path):
    def make(files, name="pictures.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in files.items():
                archive.writestr(file, content)
        return tmp_path / name

    return make


@pytest.fixture
def make_archive(make_tar, make_zip):
    return lambda name: make_zip if name.endswith("zip") else make_tar


def idx(array):
    """Return the IDX file of a uint8 array."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def idx_files():
    """The contents of four small IDX files by name: 60 + 20 images of 28x28."""
    random = np.random.default_rng(0)
    files = {}
    for side, count in (("train", 60), ("t10k", 20)):
        files[f"{side}-images-idx3-ubyte"] = idx(random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{side}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8) % 10)
    return files


@pytest.fixture
def put():
    """Write files into a folder, gzipped where the name ends in .gz."""

    def write(folder: Path, files):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)

    return write


class RecordingProgress:
    """A Progress that records its messages and tasks."""

    def __init__(self):
        self.lines = []
        self.meters = {}

    def task(self, label, total, unit, start=0):
        recording = self

        class Meter:
            def __enter__(self):
                recording.meters[label] = [start, total, unit]
                return self

            def __exit__(self, *exc):
                return None

            def advance(self, amount=1, **facts):
                recording.meters[label][0] += amount

        return Meter()

    def message(self, message):
        self.lines.append(message)


@pytest.fixture
def recorded():
    return RecordingProgress()
