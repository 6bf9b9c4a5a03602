"""The examples of docs/guides/python.md run, in its order, with durations of a few steps; its table names every command."""

import re
from pathlib import Path

import pytest

from simulacra.interfaces import cli
from simulacra.runs import own_families

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "python.md").read_text()


def runnable(code):
    """Return an example with two training steps for each minute."""
    return re.sub(r'duration="(\d+)min"', lambda found: f'duration="{2 * int(found[1])}"', code)


@pytest.mark.long
@pytest.mark.usefixtures("no_added_families")
def test_the_examples_of_the_guide_run():
    names: dict[str, object] = {"__name__": "guide"}
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)):
        exec(compile(runnable(code), f"example {number}", "exec"), names)
    assert Path("runs/three", own_families.COPY).read_text() == Path("blur.py").read_text()


def test_the_guide_names_the_python_equivalent_of_every_command():
    table = GUIDE.split("## Commands and their equivalents")[1].split("\n## ")[0]
    commands = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    assert not [name for name in cli.names() if not re.search(rf"`{name}( \w+)?`", commands)]
