"""Check a built site: links between pages and to headings lead somewhere, and no page loads anything from the network.

    python docs/check_site.py build/docs

Prints each problem, and exits with 1 if there is one. Links to other sites are not followed.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
"""The attribute of an element whose target the browser loads with the page."""


class Page(HTMLParser):
    """The anchors, links and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in _LOADED and values.get("rel") not in ("canonical", "index", "search", "next", "prev"):
            self.loaded += [values[_LOADED[tag]]] if _LOADED[tag] in values else []


def problems(site: Path) -> Iterator[str]:
    """Yield the problems of all pages."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        yield from (f"{name}: loads {target} from the network" for target in page.loaded if _elsewhere(target))
        for link in [*page.links, *page.loaded]:
            if not _elsewhere(link) and (problem := _dead(path, link, pages)):
                yield f"{name}: {link} {problem}"
    for sheet in sorted(site.rglob("*.css")):
        if "url(http" in (text := sheet.read_text("utf-8")) or "url(//" in text or "@import" in text:
            yield f"{sheet.relative_to(site)}: loads from the network"


def _elsewhere(link: str) -> bool:
    return link.startswith(("http:", "https:", "//"))


def _dead(path: Path, link: str, pages: dict[Path, Page]) -> str:
    """Return what is wrong with a link; empty if it leads somewhere."""
    parts = urlsplit(link)
    if parts.scheme:
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return "leads to no file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "leads to no heading"
    return ""


def main() -> int:
    """Check the site of the first argument."""
    found = list(problems(Path(sys.argv[1])))
    print("\n".join(found) or "all links lead somewhere, and nothing is loaded from the network")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
