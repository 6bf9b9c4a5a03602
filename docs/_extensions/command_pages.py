"""The command reference: one page for each command, and for `train` one for each family, from the parsers of the command line."""

import argparse
from collections.abc import Iterator
from typing import Any

from generated_pages import write_pages
from navigation import toctree
from sphinx.application import Sphinx

from simulacra import families
from simulacra.core.config import Option
from simulacra.interfaces import cli

_INDEX = "reference/commands"


def _rows() -> list[tuple[str, str, str]]:
    """Return group, name and summary of every command, in the order of the overview."""
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for name in cli.names():
        command, _ = cli.command_parser(name)
        group, order = command.POSITION
        groups.setdefault(group, []).append((order, name, (command.__doc__ or "").split("\n")[0]))
    order_of_groups = [*cli.GROUPS, *(group for group in groups if group not in cli.GROUPS)]
    return [
        (cli.GROUPS.get(group, group), name, summary)
        for group in order_of_groups
        for _, name, summary in sorted(groups.get(group, []))
    ]


def command_page(name: str, words: tuple[str, ...] = ()) -> str:
    """Return the page of a command; with a family among the words, that of training this family."""
    command, parser = cli.command_parser(name, words)
    title = " ".join((name, *words))
    parts = [f"# {title}\n", _description(command.__doc__ or ""), _usage(parser)]
    if words:
        usage = _usage(parser).replace("FAMILY", words[0], 1)
        summary = families.find(words[0]).summary
        parts = [f"# {title}\n", f"{summary[:1].upper()}{summary[1:]}.\n", _family_links(words[0]), usage]
    parts += [part for part in _flags(parser, 2) if not (words and part.startswith("## Arguments"))]
    for action, child in parser.subcommands.items():
        parts += [f"## {name} {action}\n", _description(child.description or ""), _usage(child), *_flags(child, 3)]
    if not words:
        parts.append(_examples(command.EXAMPLES))
        if name == "train":
            listed = ", ".join(f"[{family}](train-{family}.md)" for family in families.names())
            parts.append(f"## Flags of families\n\n{listed}.\n")
    return "\n".join(parts)


def _family_links(family: str) -> str:
    return f"The page [{family}](../../families/{family}.md) describes the model, and [train](train.md) the command.\n"


def _description(text: str) -> str:
    """Return paragraphs; quoted commands as code."""
    return _plain(text.strip()) + "\n"


def _plain(text: str) -> str:
    """Return text in which nothing but code in backticks is Markdown."""
    parts = text.split("`")
    escaped = ["".join(f"\\{sign}" if sign in "*_<>$[]" else sign for sign in part) for part in parts]
    return "`".join(part if number % 2 else escaped[number] for number, part in enumerate(parts))


def _usage(parser: argparse.ArgumentParser) -> str:
    flags = any(action.option_strings for action in parser._actions)
    places = " ".join(_place(action) for action in parser._actions if not action.option_strings)
    required = " ".join(
        f"{action.option_strings[0]} {action.metavar}" for action in parser._actions if action.option_strings and action.required
    )
    generated = " ".join(part for part in (parser.prog, places, required, "[flags]" if flags else "") if part)
    return f"```text\n{parser.usage or generated}\n```\n"


def _place(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    if action.nargs in ("*", "+"):
        name += " ..."
    return f"[{name}]" if action.nargs in ("?", "*") else name


def _flags(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """Yield a table for each group of flags."""
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction | argparse._SubParsersAction)]
        if not actions:
            continue
        title = {"positional arguments": "Arguments", "options": "Flags"}.get(str(group.title), str(group.title).capitalize())
        rows = "\n".join(_row(action) for action in actions)
        yield f"{'#' * level} {title}\n\n| name | description | values | default |\n|---|---|---|---|\n{rows}\n"


def _row(action: argparse.Action) -> str:
    text, default = _split_default(str(action.help or "").replace("%%", "%"))
    flags = [flag for flag in action.option_strings if not flag.startswith("--no-")]
    name = ", ".join(f"`{flag}`" for flag in flags) or f"`{action.metavar or action.dest}`"
    if isinstance(action, argparse.BooleanOptionalAction):
        name += f"<br>`--no-{flags[0].removeprefix('--')}`"
    cells = (name, _plain(text), _values(action), f"`{default}`" if default else "")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _split_default(text: str) -> tuple[str, str]:
    """Return a help text and its default, which is written at the end of it.

    >>> _split_default("learning rate (default: 0.001)"), _split_default("threads")
    (('learning rate', '0.001'), ('threads', ''))
    """
    before, mark, default = text.rpartition(" (default: ")
    if not mark or not default.endswith(")"):
        return text, ""
    return before, "" if default == "none)" else default[:-1]


def _values(action: argparse.Action) -> str:
    """Return the values that a flag takes: choices, or the kind of value and its range."""
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        return ""
    setting = getattr(action.type, "__self__", None)
    if isinstance(setting, Option):
        if setting.choices:
            return ", ".join(f"`{choice}`" for choice in setting.choices)
        kind = {"int": "integer", "float": "number", "str": "text", "ints": "integers", "size": "`N` or `HxW`"}[setting.kind]
        return kind + _range(setting)
    return {int: "integer", float: "number"}.get(action.type, "path" if action.type is not None else "text")  # type: ignore[call-overload]


def _range(setting: Option) -> str:
    low, high = (None if bound is None else f"{bound:g}" for bound in (setting.low, setting.high))
    if low is not None and high is not None:
        return f" in [{low}, {high}]"
    if low is not None:
        return f" ≥ {low}"
    return f" ≤ {high}" if high is not None else ""


def _examples(text: str) -> str:
    lines = "\n".join(line.strip() for line in text.split("\n")[1:])
    return f"## Examples\n\n```sh\n{lines}\n```\n"


def _write(app: Sphinx) -> None:
    pages = {f"{name}.md": command_page(name) for name in cli.names()}
    pages |= {f"train-{family}.md": command_page("train", (family,)) for family in families.names()}
    pages["train.md"] += toctree([f"train {family} <train-{family}>" for family in families.names()])
    write_pages(app.srcdir / _INDEX, pages)


def _read(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname != _INDEX:
        return
    rows, group = [], ""
    for title, name, summary in _rows():
        if title != group:
            rows.append(f"\n## {title.capitalize()}\n\n| command | summary |\n|---|---|")
            group = title
        rows.append(f"| [`{name}`](commands/{name}.md) | {_plain(summary)} |")
    source[0] += "\n" + "\n".join(rows) + toctree([f"{name} <commands/{name}>" for _, name, _ in _rows()])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages."""
    app.connect("builder-inited", _write)
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
