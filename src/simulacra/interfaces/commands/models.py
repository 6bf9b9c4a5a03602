"""List the families of models: summary, capabilities, applications and presets."""

import argparse
from typing import Any

from simulacra import applications, families
from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra models", "simulacra train vae --help    # every flag of one family")
POSITION = ("models", 1)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add no flags."""


def run(parsed: argparse.Namespace, console: Console) -> int:
    """List."""
    content = {name: _facts(name) for name in families.names()}
    console.result(content, lambda: "\n\n".join(_text(name, facts) for name, facts in content.items()))
    return 0


def _facts(name: str) -> dict[str, Any]:
    from simulacra.core.capabilities import of

    family = families.find(name)
    usable = [name for name in applications.names() if applications.find(name).applies_to(family)]
    return {
        "summary": family.summary,
        "paper": family.paper,
        "capabilities": list(of(family)),
        "applications": usable,
        "presets": list(family.presets),
    }


def _text(name: str, facts: dict[str, Any]) -> str:
    return (
        f"{name}: {facts['summary']} ({facts['paper']})\n"
        f"  capabilities: {', '.join(facts['capabilities'])}\n"
        f"  applications: {', '.join(facts['applications']) or 'none'}\n"
        f"  presets: {', '.join(facts['presets']) or 'none'}"
    )
