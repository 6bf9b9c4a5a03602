"""The names of the Python API are visible to editors, type checkers and `dir`, and cost nothing before they are used."""

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import assert_type

import torch

import simulacra
from simulacra.interfaces import api

TREE = ast.parse(Path(simulacra.__file__).read_text())


def test_names_imported_for_type_checkers_are_those_of_all_and_of_the_api():
    (block,) = [node for node in TREE.body if isinstance(node, ast.If)]
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(simulacra.__all__) == set(api.__all__)
    assert all(getattr(simulacra, name) is getattr(api, name) for name in simulacra.__all__)


def test_the_names_are_written_out_for_editors():
    (assigned,) = [node.value for node in TREE.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(assigned) == simulacra.__all__
    assert set(simulacra.__all__) <= set(dir(simulacra))
    assert files("simulacra").joinpath("py.typed").is_file()


def test_every_function_has_a_docstring_and_an_annotated_result():
    for name in set(simulacra.__all__) - {"image_grid"}:
        value = getattr(simulacra, name)
        assert value.__doc__, name
        assert isinstance(value, type) or "return" in value.__annotations__, name


def test_importing_the_package_does_not_import_torch():
    code = "import simulacra, sys; dir(simulacra); sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def types_that_the_type_checker_knows(run: Path) -> None:
    """Checked by mypy, never called."""
    assert_type(simulacra.train("vae"), simulacra.Model)
    assert_type(simulacra.open(run), simulacra.Model)
    assert_type(simulacra.load_data("digits"), simulacra.Dataset)
    assert_type(simulacra.from_array(torch.zeros(1)), simulacra.Dataset)
    assert_type(simulacra.open(run).sample(4, label="3"), torch.Tensor)
    assert_type(simulacra.open(run).encode(torch.zeros(1)), torch.Tensor)
    assert_type(simulacra.open(run).detect(torch.zeros(1)).anomalous, torch.Tensor)
    assert_type(simulacra.open(run).evaluate(), simulacra.Result)
