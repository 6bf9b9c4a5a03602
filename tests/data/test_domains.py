"""The two domains of a folder, their names, and their separate test images."""

import pytest

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError
from simulacra.core.files import RUN_FILES
from simulacra.data.layout.domains import domain_names
from simulacra.data.load import load
from simulacra.data.settings import DomainsConfig
from simulacra.data.sources import located


@pytest.fixture
def make(make_folder, make_picture):
    def made(*folders, name="pictures", count=20):
        files = [f"{folder}/{at}.png" for folder in folders for at in range(count)]
        return make_folder({file: make_picture(at) for at, file in enumerate(files)}, name)

    return made


@pytest.mark.parametrize("wrapper", ["", "horse2zebra/"])
def test_folders_for_domains_and_splits_are_found(make, wrapper):
    path = make(*(f"{wrapper}{name}" for name in ("trainA", "trainB", "testA", "testB")))
    config = located(DomainsConfig(data=str(path)))
    root = path / wrapper
    assert config.named == {"a": str(root / "trainA"), "b": str(root / "trainB")}
    assert config.tests == {"a": str(root / "testA"), "b": str(root / "testB")}
    data = load(config)
    assert [len(data[name].test) for name in ("a", "b")] == [20, 20]
    assert [len(data[name].train) for name in ("A", "B")] == [18, 18]
    assert not data.spec.domain_names


@pytest.mark.parametrize(
    ("folders", "tests"),
    [
        (("summer", "winter"), 2),
        (("train/summer", "train/winter", "test/summer", "test/winter"), 20),
        (("summer/train", "summer/test", "winter/train", "winter/test"), 20),
    ],
)
def test_domains_are_called_as_their_folders(make, folders, tests):
    data = load(DomainsConfig(data=str(make(*folders))))
    assert data.spec.domain_names == {"a": "summer", "b": "winter"}
    assert data["winter"] is data["b"]
    assert [len(data[name].test) for name in ("summer", "winter")] == [tests, tests]


def test_runs_beside_the_domains_are_not_domains(make):
    path = make("summer", "winter", "runs/one/samples")
    for name in RUN_FILES:
        (path / "runs" / "one" / name).write_bytes(b"")
    assert load(DomainsConfig(data=str(path))).spec.domain_names == {"a": "summer", "b": "winter"}


def test_test_images_of_a_domain_can_be_given_separately(make):
    a, b, test = make(".", name="a"), make(".", name="b"), make(".", name="test", count=7)
    data = load(DomainsConfig(a=str(a), b=str(b), a_test_path=str(test)))
    assert [len(data[name].test) for name in ("a", "b")] == [7, 2]


def test_validation_images_beside_the_domains_are_reported(make, recorded):
    located(DomainsConfig(data=str(make("trainA", "trainB", "valA", "valB"))), recorded)
    assert any("valA is not used" in line for line in recorded.lines)


@pytest.mark.parametrize(
    "folders", [("one",), ("one", "two", "three"), ("trainA", "trainB", "trainC", "testA", "testB", "testC")]
)
def test_a_folder_without_two_domains_is_refused_with_what_is_expected(make, folders):
    with pytest.raises(DataError, match="expected trainA and trainB"):
        load(DomainsConfig(data=str(make(*folders))))


def test_one_data_set_and_contradicting_sources_are_refused(make):
    with pytest.raises(UsageError, match="two domains are needed"):
        load(DomainsConfig(data="digits"))
    with pytest.raises(UsageError, match="names both domains"):
        DomainsConfig(data="x", a="y")
    with pytest.raises(UsageError, match="for your own images"):
        load(DomainsConfig(a="digits", b="digits", b_test_path=str(make("."))))


def test_names_are_those_of_the_nearest_folders_that_differ():
    assert domain_names({"a": "x/summer/images", "b": "x/winter/images"}) == {"a": "summer", "b": "winter"}
    assert domain_names({"a": "my summer", "b": "winter.tar.gz"}) == {"a": "my-summer", "b": "winter"}
    assert domain_names({"a": "x/b", "b": "x/a"}) == {}
    assert domain_names({"a": "same", "b": "same"}) == {}


def test_a_domain_is_found_by_any_of_its_names_and_unknown_ones_are_refused():
    own = DataSpec(1, 8, 8)
    spec = DataSpec(1, 8, 8, domains={"a": own, "b": own}, domain_names={"a": "Summer", "b": "winter"})
    assert [spec.domain_called(name) for name in ("Summer", "summer", "WINTER", "a", "B")] == ["a", "a", "b", "a", "b"]
    with pytest.raises(UsageError, match=r"unknown domain 'wintre': did you mean 'winter'\? Known: Summer, winter"):
        spec.domain_called("wintre")
