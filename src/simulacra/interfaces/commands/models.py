"""List the families of models: summary, capabilities, applications and presets."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulacra import applications, families
from simulacra.interfaces.arguments import Parser, add_family_file, examples
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

if TYPE_CHECKING:
    from simulacra.applications.application import Application

EXAMPLES = examples("simulacra models", "simulacra train vae --help    # every flag of one family")
POSITION = ("start", 2)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flag."""
    add_family_file(parser)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """List."""
    content = descriptions()
    texts = "\n\n".join(_text(name, facts) for name, facts in content.items())
    console.result(content, lambda: ending([texts], "train NAME --help"))
    return 0


def descriptions() -> dict[str, dict[str, Any]]:
    """Return summary, paper, capabilities, applications and presets of every family, by name."""
    usable = {name: applications.find(name) for name in applications.names()}
    return {name: _facts(name, usable) for name in families.names()}


def _facts(name: str, usable: "Mapping[str, Application]") -> dict[str, Any]:
    from simulacra.core.capabilities import of

    family = families.find(name)
    lists = {
        "capabilities": list(of(family)),
        "applications": [name for name, application in usable.items() if application.applies_to(family)],
        "presets": list(family.presets),
    }
    return {"summary": family.summary, "paper": family.paper} | lists


def _text(name: str, facts: dict[str, Any]) -> str:
    lists = [f"  {kind}: {', '.join(facts[kind]) or 'none'}" for kind in ("capabilities", "applications", "presets")]
    return "\n".join([f"{name}: {facts['summary']} ({facts['paper']})", *lists])
