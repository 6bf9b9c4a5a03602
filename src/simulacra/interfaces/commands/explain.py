"""Print the section of the documentation that explains a metric, family, setting, warning, command or concept.

TOPIC is a name of output, help and warnings: frechet_distance, FID, vae, --beta, 'posterior collapse', ELBO. For a family a
second word names a section of its page: 'simulacra explain vae loss'. Without TOPIC the topics are listed.
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from simulacra import families
from simulacra.documentation.catalogue import Catalogue
from simulacra.documentation.explanation import explained
from simulacra.documentation.places import CONCEPTS
from simulacra.documentation.topics import KINDS, all_topics
from simulacra.interfaces.arguments import Parser, examples
from simulacra.interfaces.catalogue import catalogue
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

EXAMPLES = examples(
    "simulacra explain                        # all topics",
    "simulacra explain frechet_distance       # a metric; FID leads there too",
    "simulacra explain posterior-collapse     # a warning",
    "simulacra explain --beta                 # a setting: values, default, meaning",
    "simulacra explain vae                    # a family",
    "simulacra explain vae loss               # a section of its page",
)
POSITION = ("start", 3)
_OWN = ("--json", "--help", "--")  # flags of the command itself
_WIDTH = 100  # columns without a terminal


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the topic. A flag among the words, such as --beta, is a topic too."""
    parser.add_argument("topic", nargs="*", metavar="TOPIC", help="a name; without it the topics are listed")
    parser.set_defaults(flags=[])
    for flag in dict.fromkeys(word.partition("=")[0] for word in words if word.startswith("--") and word not in _OWN):
        parser.add_argument(flag, dest="flags", action="append_const", const=flag, help=argparse.SUPPRESS)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Print an explanation, or the list."""
    name = " ".join([*parsed.topic, *parsed.flags])
    if not name:
        listed = topics_by_kind(catalogue(console.message))
        console.result(listed, lambda: _list(listed))
        return 0
    explanation = explained(name, families.packaged(), lambda: catalogue(console.message))
    columns = shutil.get_terminal_size((_WIDTH, 24)).columns
    console.result(explanation.table(), lambda: _printed(explanation.text(columns, styled=sys.stdout.isatty())))
    return 0


def topics_by_kind(facts: Catalogue) -> dict[str, list[str]]:
    """Return the names of all topics by their kinds; of concepts, which include most headings, a choice."""
    topics = all_topics(facts)
    names: dict[str, list[str]] = {kind: [topic.name for topic in topics if topic.kind == kind] for kind in KINDS}
    return {**names, "concept": sorted(CONCEPTS, key=str.lower)}


def _list(listed: Mapping[str, Sequence[str]]) -> str:
    columns = min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH)
    lines = []
    wrapper = textwrap.TextWrapper(columns, break_on_hyphens=False, initial_indent="  ", subsequent_indent="  ")
    for kind, title in KINDS.items():
        lines += [f"{title}:", *wrapper.wrap(", ".join(listed[kind])), ""]
    lines += ["Other tools' names and the headings of the pages are topics too: FID, 'batch size', 'calibrated intervals'.", ""]
    return ending(lines, "explain posterior-collapse", "explain vae")


def _printed(text: str) -> str:
    """Return a text that standard output can encode."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
