"""Pages that extensions write into the sources before a build; git ignores them."""

from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Write pages by name of the file, and delete all other files of the folder; unchanged files keep their time."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in pages and path.is_file():
            path.unlink()
    for name, text in pages.items():
        write_page(folder / name, text)


def write_page(path: Path, text: str) -> None:
    """Write a page; an unchanged file keeps its time, so that it is not read again."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
