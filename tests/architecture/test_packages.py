"""Structure of the source tree: no import cycles, packages of a readable size, tests found by the names of modules."""

from pathlib import Path

import grimp
import pytest

import simulacra

SOURCE = Path(simulacra.__file__).parent
LARGEST = 1750  # lines of Python in a package, except `data`, whose subpackages are counted apart
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE)


@pytest.fixture(scope="module")
def imports():
    """The graph of all imports between modules, also those inside functions, without those for type checking alone."""
    return grimp.build_graph("simulacra", exclude_type_checking_imports=True, cache_dir=None)


def components(edges):
    """Return the groups of nodes that reach each other (Tarjan 1972), larger than one."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_components_finds_a_cycle_and_nothing_else():
    assert components({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}) == [["a", "b", "c"]]


def test_no_modules_import_each_other_in_a_cycle(imports):
    edges = {module: sorted(imports.find_modules_directly_imported_by(module)) for module in sorted(imports.modules)}
    assert components(edges) == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_package_is_larger_than_one_can_read(package):
    lines = sum(len(path.read_text().splitlines()) for path in package.glob("*.py"))
    assert lines <= LARGEST, f"{package.name} has {lines} lines: split it"
