"""Sections of a Markdown page, found by the anchors of their headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LONG = 70  # lines from which a section is shown without its subsections


@dataclass(frozen=True)
class Section:
    """A section. page: such as families/vae; text: up to the next heading; below: the sections of lower level in it."""

    page: str
    anchor: str
    title: str
    level: int
    text: str
    below: tuple["Section", ...] = ()

    @property
    def place(self) -> str:
        """Page and anchor, such as families/vae#loss."""
        return f"{self.page}#{self.anchor}"

    @property
    def whole(self) -> str:
        """The text with its subsections; that of a page without them, and of a long section with their titles alone."""
        if self.level == 1:
            return self.text.strip()
        inner = "\n\n".join(f"{'#' * item.level} {item.title}\n\n{item.text.strip()}" for item in self.below)
        if len(f"{self.text}{inner}".splitlines()) <= _LONG:
            return f"{self.text.strip()}\n\n{inner}".strip()
        listed = "\n".join(f"- {item.title}" for item in self.below)
        return f"{self.text.strip()}\n\nSubsections:\n\n{listed}" if listed else self.text.strip()

    def names(self, word: str) -> bool:
        """Return whether the section, without its subsections, names a word as code: a flag or a number."""
        return names(f"`{self.title}`\n{self.text}" if "`" not in self.title else f"{self.title}\n{self.text}", word)


def names(text: str, word: str) -> bool:
    """Return whether a text contains a word as code.

    >>> names("a lower `--beta 0.1`", "--beta"), names("`--beta1 0.5`", "--beta")
    (True, False)
    """
    code = "\n".join([*re.findall(r"`+([^`\n]+)`+", text), *re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)])
    return bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", code))


def plain_title(title: str) -> str:
    """Return a heading without markup.

    >>> plain_title("`recall`, a [link](page.md)")
    'recall, a link'
    """
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")


def anchor_of(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it.

    >>> anchor_of("`frechet_distance`, `frechet_floor`"), anchor_of("Weights & Biases")
    ('frechet_distance-frechet_floor', 'weights--biases')
    """
    return re.sub(r"[^\w\- ]", "", plain_title(title).lower()).replace(" ", "-")


def sections(page: str, text: str) -> tuple[Section, ...]:
    """Return the sections of a page in their order, each with those below it."""
    flat = list(_flat(page, text))
    result = []
    for place, section in enumerate(flat):
        below = []
        for other in flat[place + 1 :]:
            if other.level <= section.level:
                break
            below.append(other)
        result.append(Section(section.page, section.anchor, section.title, section.level, section.text, tuple(below)))
    return tuple(result)


def _flat(page: str, text: str) -> Iterator[Section]:
    """Yield sections without those below them. Lines of code that begin with # are no headings."""
    title, level, lines, in_code = "", 0, list[str](), False
    for line in [*text.splitlines(), "# "]:
        in_code ^= line.lstrip().startswith("```")
        heading = None if in_code else re.fullmatch(r"(#{1,6}) (.*)", line)
        if not heading:
            lines.append(line)
            continue
        if level:
            yield Section(page, anchor_of(title), title, level, "\n".join(lines))
        level, title, lines = len(heading[1]), heading[2].strip(), []
