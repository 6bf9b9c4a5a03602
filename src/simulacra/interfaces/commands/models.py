"""List the families of models: what each is, what it can do, its presets."""

import argparse
from typing import Any

from simulacra import families
from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.console import Console

EXAMPLES = examples("simulacra models", "simulacra train vae --help    # every flag of one family")


def arguments(parser: Parser, words: list[str]) -> None:
    """There are no flags."""


def run(parsed: argparse.Namespace, console: Console) -> int:
    """List."""
    from simulacra.core.capabilities import of

    content = {name: _facts(name, of) for name in families.names()}
    console.result(content, lambda: "\n\n".join(_text(name, facts) for name, facts in content.items()))
    return 0


def _facts(name: str, capabilities: Any) -> dict[str, Any]:
    family = families.find(name)
    return {
        "summary": family.summary,
        "paper": family.paper,
        "capabilities": list(capabilities(family)),
        "presets": list(family.presets),
    }


def _text(name: str, facts: dict[str, Any]) -> str:
    return (
        f"{name}: {facts['summary']} ({facts['paper']})\n"
        f"  can: {', '.join(facts['capabilities'])}\n"
        f"  presets: {', '.join(facts['presets']) or 'none'}"
    )
