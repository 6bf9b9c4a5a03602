"""What explains a setting: its commands with their defaults, and sections that name it."""

from collections.abc import Iterator, Sequence

from simulacra.documentation import pages
from simulacra.documentation.catalogue import Setting
from simulacra.documentation.places import PARENTS, SETTINGS
from simulacra.documentation.sections import Section, names

_SKIPPED = ("quiz", "exercise", "exercises", "results", "references", "limitations")


def setting_facts(settings: Sequence[Setting]) -> str:
    """Return help, defaults and values of a flag as Markdown, one entry for commands in which they are equal."""
    texts = list(dict.fromkeys(setting.help for setting in settings))
    blocks = []
    for text in texts:
        same = [setting for setting in settings if setting.help == text]
        facts = dict.fromkeys((setting.default, setting.values) for setting in same)
        entries = [f"- {_where(same, *fact)}{_values(*fact)}" for fact in facts]
        blocks.append(f"{text[:1].upper()}{text[1:]}.\n\n" + "\n".join(entries))
    return "\n\n".join(blocks)


def _where(settings: Sequence[Setting], default: str, values: str) -> str:
    """Return the commands of settings with these values, with families where it is not most of them.

    Of several defaults of one flag, that of most families is stated for `train` alone.
    """
    same = [setting for setting in settings if (setting.default, setting.values) == (default, values)]
    families = [setting.family for setting in same if setting.family]
    of_most = [setting for setting in settings if setting.family and not setting.is_own]
    is_usual = len(families) * 2 > len(of_most) > 0
    commands = list(dict.fromkeys(setting.command for setting in same if not setting.family))
    words = [f"simulacra train {'' if is_usual else ', '.join(families)}".strip()] if families else []
    return "; ".join([*words, *([f"simulacra {', '.join(commands)}"] if commands else [])])


def _values(default: str, values: str) -> str:
    parts = [f"default {default}" if default else "", values]
    stated = "; ".join(filter(None, parts))
    return f": {stated}" if stated else ""


def setting_sections(flag: str, settings: Sequence[Setting]) -> tuple[Section, ...]:
    """Return the sections that explain a flag: the chosen ones, else the first that names it, where the search begins with the
    pages of its families; none if no page names it.
    """
    if flag in SETTINGS:
        return tuple(pages.section(place) for place in SETTINGS[flag])
    families = [setting.family for setting in settings if setting.is_own]
    found = (section for place in _pages(families) for section in _naming(place, flag))
    return tuple(section for section in [next(found, None)] if section)


def _pages(families: Sequence[str]) -> Iterator[str]:
    """Yield the pages of families, of those that they have settings from, and all others."""
    own = [*families, *(parent for family in families for parent in PARENTS.get(family, ()))]
    yield from dict.fromkeys(f"families/{family}" for family in own)
    if not families:
        yield from (name for name in pages.names() if not name.startswith(("reference/results", "families/", "course/")))
        yield from (name for name in pages.names() if name.startswith("families/"))


def _naming(page: str, flag: str) -> list[Section]:
    """Return the sections of a page that name a flag: first those with it in the heading or at the beginning of an entry."""
    found = [item for item in pages.page_sections(page) if item.anchor not in _SKIPPED and item.names(flag)]
    return sorted(found, key=lambda section: -_weight(section, flag))


def _weight(section: Section, flag: str) -> int:
    begins = sum(line.startswith((f"| `{flag}`", f"- `{flag}", f"`{flag}", f"- **`{flag}")) for line in section.text.splitlines())
    in_text = sum(names(line, flag) for line in section.text.splitlines())
    return 100 * (f"`{flag}`" in section.title) + 10 * begins + in_text
