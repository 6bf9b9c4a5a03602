"""Topics that the documentation explains: how they are named, and the topics of a name."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from simulacra.core.errors import UsageError
from simulacra.documentation import pages
from simulacra.documentation.catalogue import Catalogue
from simulacra.documentation.places import CONCEPTS, GENERIC, STATISTICS, SYNONYMS, WARNINGS
from simulacra.documentation.sections import anchor_of, plain_title

Kind = Literal["metric", "family", "setting", "warning", "statistic", "command", "concept"]
KINDS: Mapping[Kind, str] = {
    "family": "families",
    "metric": "metrics (numbers of evaluate)",
    "warning": "warnings",
    "statistic": "statistics of a training",
    "setting": "settings",
    "command": "commands",
    "concept": "concepts",
}
"""The kinds of topics, in the order in which they are listed, with their titles."""


@dataclass(frozen=True)
class Topic:
    """A topic. name: as it is listed; section: the anchor of a section of a family's page; empty for its overview."""

    kind: Kind
    name: str
    section: str = ""


def normal(name: str) -> str:
    """Return a name as topics are compared: lower case, words separated by dashes, without the dashes of a flag.

    >>> normal("--Guidance_scale"), normal("posterior collapse"), normal("data.a"), normal("KL divergence")
    ('guidance-scale', 'posterior-collapse', 'data.a', 'kl-divergence')
    """
    words = re.sub(r"[^\w.\- ]", "", name.strip().lower().lstrip("-"))
    return re.sub(r"[\s_-]+", "-", words).strip("-")


def topics_of(name: str, families: tuple[str, ...], catalogue: Callable[[], Catalogue]) -> tuple[Topic, ...]:
    """Return the topics of a name; raises UsageError with the nearest names where there is none.

    The catalogue, which may take seconds to collect, is asked for only where a name is neither a family nor a warning.
    """
    wanted = normal(name)
    wanted = SYNONYMS.get(wanted, wanted)
    if found := _without_catalogue(wanted, families):
        return found
    facts = catalogue()
    known = all_topics(facts)
    wanted = normal(facts.synonyms.get(wanted, wanted))
    by_name = [topic for topic in known if normal(topic.name) == wanted]
    if by_name:
        return tuple(by_name)
    names = list(dict.fromkeys([*(normal(topic.name) for topic in known), *SYNONYMS]))
    within = [other for other in names if wanted and len(wanted) > 2 and wanted in other]
    near = list(dict.fromkeys([*get_close_matches(wanted, names, n=4, cutoff=0.6), *within]))[:6]
    hint = f"the nearest are {', '.join(near)}" if near else "no name is similar"
    raise UsageError(f"nothing explains {name!r}: {hint}. 'simulacra explain' lists all topics")


def _without_catalogue(wanted: str, families: tuple[str, ...]) -> tuple[Topic, ...]:
    """Return the topic of a family, of a section of its page, or of a warning: names that nothing else has."""
    for family in families:
        own, page = normal(family), f"families/{family}"
        if wanted == own:
            return (Topic("family", family),)
        if wanted.startswith(f"{own}-"):
            rest = wanted.removeprefix(f"{own}-")
            found = [item for item in pages.page_sections(page) if normal(item.anchor) == rest]
            if found:
                return (Topic("family", family, found[0].anchor),)
    return tuple(Topic("warning", warning) for warning in WARNINGS if normal(warning) == wanted)


def all_topics(catalogue: Catalogue) -> tuple[Topic, ...]:
    """Return all topics, each kind in its order."""
    flags = sorted({setting.flag for setting in catalogue.settings})
    return (
        *(Topic("family", family.name) for family in catalogue.families),
        *(Topic("metric", number.name) for number in catalogue.numbers),
        *(Topic("warning", name) for name in WARNINGS),
        *(Topic("statistic", name) for name in STATISTICS),
        *(Topic("setting", flag) for flag in flags),
        *(Topic("command", command.name) for command in catalogue.commands),
        *(Topic("concept", name) for name in concepts()),
    )


def concepts() -> Mapping[str, tuple[str, ...]]:
    """Return the places of concepts by their names: chosen ones, and headings that only one page has."""
    found = dict(CONCEPTS)
    taken = {normal(name) for name in found} | set(SYNONYMS) | {normal(name) for name in WARNINGS}
    headings: dict[str, list[str]] = {}
    for title, place in _headings():
        headings.setdefault(title, []).append(place)
    for title, places in headings.items():
        if len(places) == 1 and normal(title) not in taken:
            found[title] = (places[0],)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _headings() -> Iterator[tuple[str, str]]:
    """Yield the headings that are names of concepts, with their places."""
    for page in pages.names():
        for section in pages.page_sections(page):
            title = plain_title(section.title)
            is_name = "`" not in section.title and "?" not in title and len(title.split()) <= 4 and not re.match(r"\d", title)
            if (
                is_name
                and section.level in (2, 3)
                and anchor_of(title) not in GENERIC
                and not page.startswith("reference/results")
            ):
                yield title, section.place
