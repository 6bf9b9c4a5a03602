"""The pages of the documentation: those in the package, or in `docs/` of a checkout."""

from functools import cache
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.documentation.sections import Section, sections

_PACKAGED = Path(__file__).parent / "pages"
_CHECKOUT = Path(__file__).parents[3] / "docs"
_FOLDERS = ("tutorials", "guides", "explanation", "reference", "families", "course")
"""Folders of pages, in the order in which they are searched for a topic."""

_GENERATED = ("reference/benchmarks",)  # a copy that the documentation site makes


def folder() -> Path:
    """Return the folder of the pages; raises DataError where it is missing."""
    for place in (_PACKAGED, _CHECKOUT):
        if place.is_dir():
            return place
    raise DataError(f"the pages of the documentation are missing: expected {_PACKAGED}. Install the package again")


def names() -> tuple[str, ...]:
    """Return the names of all pages, such as families/vae, those of a folder in alphabetical order."""
    places = [(name, folder() / name) for name in _FOLDERS]
    found = (f"{name}/{path.stem}" for name, place in places for path in sorted(place.glob("*.md")))
    return tuple(name for name in found if name not in _GENERATED)


def text(page: str) -> str:
    """Return the Markdown of a page; raises DataError for a page that does not exist."""
    try:
        return (folder() / f"{page}.md").read_text("utf-8")
    except OSError as error:
        raise DataError(f"no page docs/{page}.md: {error.strerror}") from None


@cache
def page_sections(page: str) -> tuple[Section, ...]:
    """Return the sections of a page, in their order."""
    return sections(page, text(page))


def section(place: str) -> Section:
    """Return the section of a place such as families/vae#loss; without an anchor the introduction of the page.

    Raises DataError for a place that does not exist.
    """
    page, _, anchor = place.partition("#")
    found = [item for item in page_sections(page) if item.anchor == anchor or (not anchor and item.level == 1)]
    if not found:
        raise DataError(f"docs/{page}.md has no section {anchor!r}")
    return found[0]
