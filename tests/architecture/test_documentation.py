"""The examples of docs/explanation/architecture.md work as written, and links between pages lead somewhere."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulacra import applications, families, metrics
from simulacra.data import sources
from simulacra.interfaces import commands
from simulacra.interfaces.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLE = ROOT / "tests" / "contract" / "plugins" / "label_vae.py"


def section(title):
    """Return the Python code of one section of the page."""
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    body = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    return code


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Add the code of a section to a package, as a file of this name."""

    def add(package, name, title):
        folder = tmp_path / "added"
        folder.mkdir()
        (folder / f"{name}.py").write_text(section(title))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])

    return add


def output(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_family_is_the_one_that_the_contract_tests_train():
    assert section("Add a family") == EXAMPLE.read_text()


def test_the_metric_is_measured(added, capsys, trained_vae):
    added(metrics, "absolute_error", "Add a metric")
    found = output(capsys, "evaluate", trained_vae.run.path, "--metrics", "absolute_error", "--json")["metrics"]
    assert set(found) == {"mae"}
    images = trained_vae.dataset.test.head(10**6).images
    assert found["mae"]["value"] == pytest.approx((trained_vae.reconstruct(images) - images).abs().mean().item(), rel=1e-5)


def test_the_application_is_a_command(added, capsys, trained_vae, tmp_path):
    added(applications, "latents", "Add an application")
    found = output(capsys, "latents", trained_vae.run.path, "--out", tmp_path / "latents.npz", "--json")
    arrays = np.load(tmp_path / "latents.npz", allow_pickle=False)
    assert arrays["latents"].shape == (found["count"], found["latent_dim"])
    assert len(arrays["labels"]) == found["count"]


def test_the_source_is_prepared(added, capsys):
    sources.sources.cache_clear()
    added(sources, "discs", "Add a data source")
    found = output(capsys, "data", "prepare", "discs", "--json")
    sources.sources.cache_clear()
    assert found["shape"] == [1, 16, 16]
    assert found["classes"] == ["small", "large"]


def test_the_command_is_listed_and_runs(added, capsys):
    added(commands, "cache", "Add a command")
    assert output(capsys, "cache", "--json")["bytes"] >= 0
    assert main(["--help"]) == 0
    assert "Print the size of the cache" in capsys.readouterr().out


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_families_have_a_page():
    for name in families.names():
        assert (ROOT / "docs" / "families" / f"{name}.md").exists()


COMMAND = re.compile(r"(?:^|[`(])(?:\$ )?(?:simulacra [a-z]|make \w|python \S+\.py)|recipes/[\w-]+\.toml|same command", re.M)
PICTURED = [page for page in [ROOT / "README.md", *PAGES] if "![" in page.read_text()]


@pytest.mark.parametrize("page", sorted(set(PICTURED)), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_figure_has_the_command_that_made_it_in_its_section(page):
    for part in re.split(r"^(?=#{1,6} )", outside_fences(page.read_text()), flags=re.MULTILINE):
        for picture in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", part):
            assert COMMAND.search(part), f"{picture}: write the command into the caption below the picture"


def outside_fences(text):
    """Return a text in which comment lines inside code are no headings."""
    return re.sub(r"```.*?```", lambda match: match[0].replace("\n#", "\n #"), text, flags=re.DOTALL)


def test_generated_pages_are_not_part_of_the_repository():
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"/docs/reference/api/", "/docs/reference/commands/", "/docs/notebooks/"} <= set(ignored)
