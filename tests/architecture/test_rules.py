"""The rules of the house that no linter knows."""

import ast
from pathlib import Path

import pytest

import simulacra
from simulacra import families
from simulacra.core.capabilities import ALL
from simulacra.core.config import options
from simulacra.core.errors import UsageError
from simulacra.runs.settings import groups

SOURCE = Path(simulacra.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))


def calls(path):
    tree = ast.parse(path.read_text())
    return [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]


def words_in(path):
    tree = ast.parse(path.read_text())
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_only_interfaces_print():
    for path in MODULES:
        if "interfaces" not in path.parts:
            assert not [call for call in calls(path) if isinstance(call, ast.Name) and call.id == "print"], path


def test_nothing_is_ever_unpickled():
    for path in MODULES:
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "torch.load(" not in text, path
        assert "allow_pickle=True" not in text, path


@pytest.mark.parametrize("folder", ["engine", "runs", "metrics", "tasks", "core", "data"])
def test_only_interfaces_name_a_family(folder):
    for path in (SOURCE / folder).rglob("*.py"):
        assert not words_in(path) & set(families.names()), path


def test_no_code_asks_for_attributes_by_name():
    for path in MODULES:
        assert not [call for call in calls(path) if isinstance(call, ast.Name) and call.id == "hasattr"], path


@pytest.mark.parametrize("name", families.names())
def test_the_flags_of_a_family_never_clash(name):
    flags = [setting.flag for kind in groups(families.find(name)).values() for setting in options(kind)]
    names = [setting.name for kind in groups(families.find(name)).values() for setting in options(kind)]
    assert len(flags) == len(set(flags))
    assert len(names) == len(set(names))
    assert not set(flags) & {"json", "recipe", "out", "preset", "help"}


@pytest.mark.parametrize("name", families.names())
def test_a_family_is_one_file_that_names_what_it_can_do(name):
    family = families.find(name)
    assert family.__module__ == f"simulacra.families.{name}"
    assert any(issubclass(family, capability) for capability in ALL)


def test_a_family_is_found_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "newcomer.py").write_text((SOURCE / "families" / "autoencoder.py").read_text())
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    assert "newcomer" in families.names()
    assert families.find("newcomer").__name__ == "Autoencoder"


@pytest.mark.parametrize(
    ("name", "added", "held"), [("without", "", "none"), ("two", "class Other(Autoencoder): pass\n", "Other")]
)
def test_a_file_that_is_not_one_family_is_refused_with_what_it_defines(name, added, held, tmp_path, monkeypatch):
    source = (SOURCE / "families" / "autoencoder.py").read_text() + added if added else ""
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    with pytest.raises(UsageError, match=rf"{name}\.py: .* one subclass of Family, and this one defines .*{held}"):
        families.find(name)


def test_every_recipe_resolves():
    from simulacra.runs.settings import read_recipe, resolve

    recipes = sorted((SOURCE.parents[1] / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        resolve(read_recipe(path), {}, path.name)
        header = path.read_text().split("\n\n")[0]
        assert header.startswith("#"), f"{path.name} does not begin with its command, hardware, time and score"
        assert "simulacra train" in header
