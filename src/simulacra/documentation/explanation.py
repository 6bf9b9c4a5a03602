"""What the documentation says about a topic: facts of the program, and the sections that explain it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulacra.documentation import pages
from simulacra.documentation.catalogue import Catalogue, Number
from simulacra.documentation.excerpts import excerpt, has_entry
from simulacra.documentation.places import COMMANDS, NUMBER_PREFIXES, NUMBERS, SETTINGS, STATISTICS, WARNINGS
from simulacra.documentation.readable import pages_in
from simulacra.documentation.sections import Section, plain_title
from simulacra.documentation.settings import setting_facts, setting_sections
from simulacra.documentation.terminal import rendered
from simulacra.documentation.topics import Kind, Topic, concepts, normal, topics_of

_WIDTH = 100  # columns of `str`
_SHORT = 14  # lines of a section that is shown whole, also where only a part of it names the topic
_FEW = 3  # pages of which "see also" consists


@dataclass(frozen=True)
class Passage:
    """A section, or the parts of it that name a topic: Markdown."""

    place: str
    title: str
    text: str
    is_whole: bool
    see_also: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One topic of a name. facts: Markdown; passages: of the documentation."""

    topic: Topic
    facts: str
    passages: tuple[Passage, ...]

    @property
    def markdown(self) -> str:
        """The part as Markdown."""
        title = f"# {self.topic.name}: {self.topic.kind}"
        blocks = [title, self.facts, *(_passage_text(passage) for passage in self.passages)]
        return "\n\n".join(block for block in blocks if block)


def _passage_text(passage: Passage) -> str:
    title = plain_title(passage.title)
    # the introduction of a page has the title of the page
    heading = f"## {'' if passage.is_whole else 'From '}{title}, docs/{passage.place.partition('#')[0]}.md"
    also = f"*See also {', '.join(f'docs/{page}.md' for page in passage.see_also)}.*" if passage.see_also else ""
    return "\n\n".join(block for block in (heading, passage.text, also) if block)


@dataclass(frozen=True)
class Explanation:
    """What the documentation says about a name: one part for each topic of this name."""

    name: str
    parts: tuple[Part, ...]

    @property
    def markdown(self) -> str:
        """The explanation as Markdown."""
        return "\n\n".join(part.markdown for part in self.parts)

    def text(self, width: int = _WIDTH, *, styled: bool = False) -> str:
        """Return the explanation as text of at most `width` columns; styled: for a terminal."""
        return rendered(self.markdown, width, styled=styled)

    def table(self) -> dict[str, Any]:
        """Return the explanation as data for JSON."""
        parts = [
            {
                "kind": part.topic.kind,
                "name": part.topic.name,
                "facts": part.facts,
                "sections": [
                    {"place": passage.place, "title": plain_title(passage.title), "text": passage.text, "whole": passage.is_whole}
                    for passage in part.passages
                ],
            }
            for part in self.parts
        ]
        return {"name": self.name, "topics": parts}

    def __str__(self) -> str:
        """Return the explanation as text."""
        return self.text()

    def __repr__(self) -> str:
        """Return the explanation as text, which a Python prompt displays."""
        return self.text()

    def _repr_markdown_(self) -> str:
        """Return the explanation for a notebook."""
        return self.markdown


def explained(name: str, families: tuple[str, ...], catalogue: Callable[[], Catalogue]) -> Explanation:
    """Return the explanation of a name; raises UsageError for one that nothing explains, with the nearest names."""
    return Explanation(name, tuple(_part(topic, catalogue) for topic in topics_of(name, families, catalogue)))


def _part(topic: Topic, catalogue: Callable[[], Catalogue]) -> Part:
    parts: Mapping[Kind, Callable[[], Part]] = {
        "family": lambda: _family(topic),
        "warning": lambda: Part(topic, "", tuple(_whole(pages.section(place)) for place in WARNINGS[topic.name])),
        "statistic": lambda: Part(topic, "", (_passage(pages.section(STATISTICS[topic.name]), topic.name),)),
        "metric": lambda: _metric(topic, catalogue()),
        "setting": lambda: _setting(topic, catalogue()),
        "command": lambda: _command(topic, catalogue()),
        "concept": lambda: Part(topic, "", tuple(_passage(pages.section(place), topic.name) for place in concepts()[topic.name])),
    }
    return parts[topic.kind]()


def _metric(topic: Topic, catalogue: Catalogue) -> Part:
    number = next(number for number in catalogue.numbers if number.name == topic.name)
    place = number_place(number.name)
    return Part(topic, _number_facts(number), (_mentions(pages.section(place), topic.name),) if place else ())


def _setting(topic: Topic, catalogue: Catalogue) -> Part:
    found = [setting for setting in catalogue.settings if setting.flag == topic.name]
    sections = setting_sections(topic.name, found)
    passage = _passage if topic.name in SETTINGS else _mentions
    return Part(topic, setting_facts(found), tuple(passage(section, topic.name) for section in sections))


def _family(topic: Topic) -> Part:
    """Return the overview of a family, or another section of its page, and the names of its sections."""
    page = f"families/{topic.name}"
    listed = pages.page_sections(page)
    anchor = topic.section or ("overview" if any(item.anchor == "overview" for item in listed) else "")
    section = pages.section(f"{page}#{anchor}" if anchor else page)
    names = [plain_title(item.title).lower() for item in listed if item.level == 2]
    others = [name for name in names if normal(name) not in (anchor, "overview", "quiz", "references")]
    command = f"`simulacra explain {topic.name} {(others or names)[0]}`"
    facts = "" if topic.section else f"Further sections: {', '.join(others)} ({command})."
    passage = _whole(section)
    return Part(topic, facts, (passage,))


def _command(topic: Topic, catalogue: Catalogue) -> Part:
    facts = next(command for command in catalogue.commands if command.name == topic.name)
    examples = "\n".join(facts.examples)
    blocks = [facts.text, f"```sh\n{examples}\n```", f"`simulacra {topic.name} --help` lists its flags."]
    place = COMMANDS.get(topic.name)
    return Part(topic, "\n\n".join(blocks), (_whole(pages.section(place)),) if place else ())


def _number_facts(number: Number) -> str:
    better = {"neither": "no direction: read it beside other numbers"}.get(number.better, f"{number.better} is better")
    needs = f" Needs a model with {number.needs}." if number.needs else ""
    title = f"{number.title[:1].upper()}{number.title[1:]}; {better}."
    return f"{title} {number.meaning}{needs}\n\n`simulacra evaluate RUN --metrics {number.metric}` computes it."


def number_place(name: str) -> str:
    """Return the place of the section that explains a number; empty if there is none."""
    if name in NUMBERS:
        return NUMBERS[name]
    if prefix := next((prefix for prefix in NUMBER_PREFIXES if name.startswith(prefix)), ""):
        return NUMBER_PREFIXES[prefix]
    for page in ("reference/metrics", "explanation/evaluation"):
        for section in pages.page_sections(page):
            if f"`{name}`" in section.title:
                return section.place
    return ""


def _whole(section: Section) -> Passage:
    return Passage(section.place, section.title, section.whole, True, _also(section))


def _passage(section: Section, word: str) -> Passage:
    """Return a section; of one with a table or a list that has an entry for the word, these entries."""
    parts = excerpt(section.text, word)
    if not parts or f"`{word}`" in section.title or not has_entry(section.text, word):
        return _whole(section)
    return Passage(section.place, section.title, parts, False, ())


def _mentions(section: Section, word: str) -> Passage:
    """Return the parts of a section that name a word; a short section whole."""
    parts = excerpt(section.text, word)
    is_short = not parts or len(section.whole.splitlines()) <= _SHORT
    return (
        _whole(section) if is_short or f"`{word}`" in section.title else Passage(section.place, section.title, parts, False, ())
    )


def _also(section: Section) -> tuple[str, ...]:
    return tuple(pages_in(section.whole, section.page)[:_FEW])
