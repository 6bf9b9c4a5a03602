"""The course: its commands exist, its Python runs with durations of a few steps, and its figures have commands and scripts."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from simulacra.core.config import options
from simulacra.data.settings import settings_of
from simulacra.engine.settings import TrainConfig
from simulacra.families import find
from simulacra.features import networks
from simulacra.interfaces import cli

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "docs" / "course"
PAGES = sorted(COURSE.glob("*.md"))
CHAPTERS = [page for page in PAGES if page.name != "index.md"]
HEADINGS = ("The question", "An analogy", "The idea", "The mathematics", "The limit, measured", "Exercises", "What comes next")


def name_of(page):
    return page.stem


def python_of(page):
    """Return the Python examples of a page, with durations of three steps."""
    return [
        re.sub(r'duration="[^"]*"', 'duration="3"', code)
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    ]


def commands_of(page):
    """Return the words of the `simulacra` commands of a page: lines of sh examples, and code within a sentence."""
    text = page.read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(code.split()) for code in re.findall(r"`(simulacra [^`]+)`", prose)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("simulacra ")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_parses(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands_of(page):
        if words[0] == "quiz":  # its pages have tests of their own
            continue
        assert words[0] in cli.names(), words
        if len(words) > 1:
            cli._parsed(words[0], words[1:])


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_a_chapter_has_all_parts(page):
    text = page.read_text()
    found = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [heading for heading in HEADINGS if heading not in found] == []
    assert "The analogy ends here" in text
    assert text.count("<details>") == text.count("</details>") == 2
    assert re.search(r"\bsimulacra quiz \w+", text)
    assert python_of(page)


@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_settings_of_trainings_in_python_exist(page):
    for code in python_of(page):
        tree = ast.parse(code)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "simulacra.train" and isinstance(call.args[0], ast.Constant):
                family = find(str(call.args[0].value))
                kinds = (family.Config, TrainConfig, settings_of(family.domains))
                known = {option.name for kind in kinds for option in options(kind)} | {
                    "preset",
                    "recipe",
                    "out",
                    "dataset",
                    "quiet",
                }
                assert {word.arg for word in call.keywords if word.arg} <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_figure_exists_and_every_script_that_makes_one(page):
    text = page.read_text()
    for link in re.findall(r"\]\((\.\./pictures/[^)]+)\)", text):
        assert (COURSE / link).exists(), link
    for script in re.findall(r"`python (docs/course/figures/\w+\.py)`", text):
        assert (ROOT / script).exists(), script
    for recipe in re.findall(r"recipes/[\w-]+\.toml", text):
        tomllib.loads((ROOT / recipe).read_text())


def test_every_chart_is_named_by_a_script_and_shown_on_a_page():
    shown = "".join(page.read_text() for page in PAGES)
    scripts = "".join(path.read_text() for path in (COURSE / "figures").glob("*.py"))
    for picture in (ROOT / "docs" / "pictures").glob("course-*"):
        assert picture.name in shown, picture
        assert f'"{picture.stem}"' in scripts, picture


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_begins_with_a_percent_sign_which_begins_a_comment_of_the_site(page):
    assert not re.findall(r"^\s*%", page.read_text(), re.MULTILINE)


def test_the_index_lists_every_chapter():
    listed = re.findall(r"\]\((\d\d-[\w-]+\.md)\)", (COURSE / "index.md").read_text())
    assert listed == [page.name for page in CHAPTERS]


@pytest.fixture
def short_extractor(monkeypatch, tmp_path):
    """Train feature extractors for a moment, into a cache of their own."""
    monkeypatch.setattr(networks.find("lenet"), "images", 2000)
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))


@pytest.mark.long
@pytest.mark.usefixtures("short_extractor")
@pytest.mark.parametrize("page", CHAPTERS, ids=name_of)
def test_the_python_of_a_chapter_runs(page):
    for number, code in enumerate(python_of(page)):
        exec(compile(code, f"{page.name}, example {number}", "exec"), {"__name__": "course"})
