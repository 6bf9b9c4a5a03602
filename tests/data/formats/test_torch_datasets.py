"""Torch data sets: items in usual forms and ranges become bytes; what has no end or fits nothing is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

import simulacra
from simulacra.core.errors import DataError, UsageError
from simulacra.data.formats.torch_datasets import read_items

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
PIXELS[0, 0, 0] = 0  # so that images in [-1, 1] have a negative value
FIRST = np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2))


class Items(TorchDataset):  # type: ignore[type-arg]
    """A map-style data set of given items."""

    def __init__(self, items: Any, **attributes: Any) -> None:
        self.items = items
        vars(self).update(attributes)

    def __getitem__(self, index: int) -> Any:
        return self.items[index % len(self.items)]  # no IndexError: it has no end

    def __len__(self) -> int:
        return len(self.items)


class Endless(TorchDataset):  # type: ignore[type-arg]
    """A data set without a length."""

    def __getitem__(self, index: int) -> Any:
        return torch.zeros(1, 4, 4)


class Stream(IterableDataset):  # type: ignore[type-arg]
    """A data set without an end."""

    def __iter__(self) -> Any:
        while True:
            yield torch.zeros(1, 4, 4)


FORMS = {
    "Pillow images": [Image.fromarray(image) for image in PIXELS],
    "arrays of bytes": list(PIXELS),
    "tensors of bytes": list(torch.from_numpy(FIRST)),
    "tensors in [0, 1]": list(torch.from_numpy(FIRST) / 255),
    "tensors in [-1, 1]": list(torch.from_numpy(FIRST) / 127.5 - 1),
    "arrays in [0, 1]": list(PIXELS / 255.0),
    "64-bit integers": list(PIXELS.astype(np.int64)),
    "pairs": [(image, number % 2) for number, image in enumerate(PIXELS)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_bytes(form):
    assert np.array_equal(read_items(Items(FORMS[form])).images, PIXELS)


def test_grey_images_and_half_precision_are_read():
    grey = PIXELS[..., 0]
    for items in (list(grey), [Image.fromarray(image) for image in grey], list(torch.from_numpy(grey)[:, None])):
        assert np.array_equal(read_items(Items(items)).images[..., 0], grey)
    black_and_white = (torch.from_numpy(FIRST) > 127).half()
    assert np.array_equal(read_items(Items(list(black_and_white))).images, (PIXELS > 127) * np.uint8(255))


def test_labels_and_classes_are_those_of_the_data_set():
    pairs = [(image, torch.tensor(number % 2)) for number, image in enumerate(PIXELS)]
    data = simulacra.from_array(Items(pairs, classes=["cat", "dog"]))
    assert (data.name, data.spec.classes, data.spec.shape) == ("items", ("cat", "dog"), (3, 6, 5))
    expected = simulacra.from_array(PIXELS, np.arange(20) % 2, classes=("cat", "dog"))
    assert data.digest == expected.digest
    assert np.array_equal(data.train.images, expected.train.images)
    assert simulacra.from_array(Items(pairs), test_images=Items(pairs[:5])).test.labels is not None


def test_a_remark_says_that_negative_values_were_mapped():
    assert simulacra.from_array(Items(FORMS["tensors in [-1, 1]"])).notes == ("values in [-1, 1] were mapped to [0, 1]",)
    assert not simulacra.from_array(Items(FORMS["tensors in [0, 1]"])).notes


def test_a_model_is_trained_on_a_torch_data_set(tmp_path):
    settings: dict[str, Any] = {"network": "dense", "hidden": (8,), "batch": 8, "threads": 1, "quiet": True}
    dataset = Items(FORMS["pairs"])
    model = simulacra.train("autoencoder", dataset=dataset, duration="2", out=tmp_path / "run", **settings)
    assert simulacra.resume(tmp_path / "run", duration="3", dataset=dataset, quiet=True).step == 3
    assert simulacra.open(tmp_path / "run", dataset=dataset).dataset.digest == model.dataset.digest
    with pytest.raises(UsageError, match="was trained on items with digest"):
        simulacra.open(tmp_path / "run", dataset=Items(FORMS["pairs"][:10]))


def test_the_default_folder_has_the_name_of_the_data(tmp_path):
    model = simulacra.train(
        "autoencoder", dataset=Items(list(PIXELS)), duration="1", network="dense", batch=8, threads=1, quiet=True
    )
    assert model.run.path.name == "autoencoder-items-1"


@pytest.mark.parametrize("refused", [Endless(), Stream(), DataLoader(Items(list(PIXELS)))])
def test_what_may_have_no_end_is_refused(refused):
    with pytest.raises(UsageError, match=r"no length|no end|give its data set"):
        simulacra.from_array(refused)
    with pytest.raises(UsageError):
        simulacra.train("autoencoder", dataset=refused)


LARGER = np.zeros((7, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "is empty"),
        ([PIXELS[0], LARGER], r"Items\[1\] has 7x7x3, and Items\[0\] has 6x5x3: resize"),
        ([PIXELS[0] * 1.0], r"Items\[0\] has values from 0 to 248, expected floats in"),
        ([np.full((4, 4), np.nan)], r"Items\[0\] has values from nan"),
        ([PIXELS[0].astype(np.int64) + 300], r"Items\[0\] has values from 300"),
        ([{"image": PIXELS[0]}], r"Items\[0\] is a dict, expected an image, or a pair"),
        ([(PIXELS[0], 1, 2)], r"Items\[0\] is a tuple, expected an image, or a pair"),
        ([(PIXELS[0], "cat")], r"the label of Items\[0\] is 'cat', expected a whole number"),
        ([(PIXELS[0], 0.5)], r"the label of Items\[0\] is 0\.5"),
        ([(PIXELS[0], 1), PIXELS[1]], "1 of the 2 items of Items have labels"),
        ([np.zeros((3, 4, 5, 6))], r"shape \(3, 4, 5, 6\)"),
        ([np.zeros((9, 9, 9))], r"shape \(9, 9, 9\), expected"),
    ],
)
def test_items_that_are_no_images_are_refused_by_number(items, reason):
    with pytest.raises(DataError, match=reason):
        read_items(Items(items))
