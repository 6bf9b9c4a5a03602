"""Facts of the program that topics are about: its numbers, settings, families and commands, as data without their code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """A number in `metrics` of an evaluation. metric: the file that computes it; needs: what it needs of a model, in words."""

    name: str
    title: str
    better: str
    meaning: str
    metric: str
    needs: str


@dataclass(frozen=True)
class Setting:
    """A flag of a command.

    family: of a flag of `train`; is_own: whether it is a setting of this family, and not one of the data or of training; values:
    its range or choices, in words.
    """

    flag: str
    command: str
    family: str
    help: str
    default: str
    values: str
    is_own: bool = False


@dataclass(frozen=True)
class FamilyFacts:
    """A family: its summary, and the paper that it is from."""

    name: str
    summary: str
    paper: str


@dataclass(frozen=True)
class CommandFacts:
    """A command: its help without the flags, and examples."""

    name: str
    text: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """All facts. synonyms: names that other tools have, each with the name here."""

    numbers: tuple[Number, ...]
    settings: tuple[Setting, ...]
    families: tuple[FamilyFacts, ...]
    commands: tuple[CommandFacts, ...]
    synonyms: Mapping[str, str]

    def to_json(self) -> str:
        """Return the facts as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Catalogue":
        """Return the facts of `to_json`."""
        content: dict[str, Any] = json.loads(text)
        return cls(
            tuple(Number(**item) for item in content["numbers"]),
            tuple(Setting(**item) for item in content["settings"]),
            tuple(FamilyFacts(**item) for item in content["families"]),
            tuple(CommandFacts(item["name"], item["text"], tuple(item["examples"])) for item in content["commands"]),
            content["synonyms"],
        )
