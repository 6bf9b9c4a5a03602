"""The table of the page of speeds, made from measurements in a JSON file beside it; what is written by hand around it stays.

    python benchmarks/speed_page.py [docs/reference/speed.md]

writes the table again. A measurement replaces that of the same task, all others stay as they are.
"""

import json
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from benchmarks.table import Rounds, rate, ratios

from simulacra.core.errors import UsageError
from simulacra.core.files import write_json, write_text
from simulacra.engine import hardware

PAGE = Path("docs/reference/speed.md")
BEGIN = "<!-- begin speeds: benchmarks/speed_page.py replaces everything between this line and the end mark -->"
END = "<!-- end speeds -->"
CLOCKS = {"wall": "elapsed time", "cpu": "time of the processor"}
"""What the page calls the clocks of the benchmarks."""
_PEERS = ("accelerate", "diffusers", "keras", "pythae", "tensorflow_cpu")


@dataclass(frozen=True)
class Measured:
    """One measurement: its task, what each variant had in each round, and how it was made.

    ours: the variant to which the others are compared. settings: of the variants at their best. tried: of each peer, the images/s
    of each setting among which the best was chosen, 0 where it failed. facts: of the machine and of the software.
    """

    task: str
    ours: str
    rounds: Rounds
    settings: dict[str, str]
    tried: dict[str, dict[str, float]]
    protocol: str
    command: str
    facts: dict[str, Any]


def facts(precision: str) -> dict[str, Any]:
    """Return the machine and the versions of the software, with the pinned ones of the peers."""
    pins = "".join(path.read_text() for path in sorted((Path(__file__).parent / "peers").glob("*.txt")))
    found = dict(re.findall(r"^([\w.-]+)==(.+)$", pins, re.MULTILINE))
    versions = {"Python": platform.python_version(), "torch": torch.__version__, **{name: found[name] for name in _PEERS}}
    return {"machine": hardware.describe(), "versions": versions, "precision": precision}


def record(page: Path, *measured: Measured) -> None:
    """Store measurements in the JSON file beside the page, and write its table. Raises UsageError for a page without marks."""
    stored = {entry.task: entry for entry in stored_entries(page)}
    stored |= {entry.task: entry for entry in measured}
    text = filled(page.read_text(), list(stored.values()))
    write_json(page.with_suffix(".json"), [asdict(entry) for entry in stored.values()])
    write_text(page, text)


def stored_entries(page: Path) -> list[Measured]:
    """Return the measurements beside the page."""
    path = page.with_suffix(".json")
    return [Measured(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def filled(text: str, entries: Sequence[Measured]) -> str:
    """Return the text of the page with the table of these measurements. Raises UsageError where it lacks a mark."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UsageError(f"the page lacks the place for the table: add these two lines where it belongs:\n{BEGIN}\n{END}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block(entries)}\n\n{END}{rest.split(END)[1]}"


def block(entries: Sequence[Measured]) -> str:
    """Return the Markdown between the marks: the table, and under it how each task was measured."""
    head = ["task", "program", "images/s", "Simulacra relative to it", "peak memory, MiB"]
    rows = [row for entry in entries for row in _rows(entry)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
    return "\n\n".join([table, "\n".join(_notes(entry) for entry in entries)])


def _rows(entry: Measured) -> list[list[str]]:
    return [_row(entry, number, name) for number, name in enumerate(entry.rounds)]


def _row(entry: Measured, number: int, name: str) -> list[str]:
    task = f"**{entry.task}**" if number == 0 else ""
    speed, memory = (median(record[key] for record in entry.rounds[name]) for key in ("images_per_second", "above_start_mib"))
    if name == entry.ours:
        return [task, f"**{name}**", f"**{rate(speed)}**", "1", f"{memory:,.0f}"]
    return [task, name, rate(speed), ratio(ratios(entry.rounds, entry.ours, name)), f"{memory:,.0f}"]


def ratio(values: Sequence[float]) -> str:
    """Return the median and the range of ratios, with as many digits as they need.

    >>> ratio([1.234, 1.5, 1.1]), ratio([301.2, 333.3, 390.8])
    ('1.23 (1.10 to 1.50)', '333 (301 to 391)')
    """
    digits = ".2f" if median(values) < 10 else ",.0f"
    return f"{median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def _notes(entry: Measured) -> str:
    """Return how one task was measured, as an item of a list."""
    machine, versions = entry.facts["machine"], entry.facts["versions"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''} of {machine['cores']}"
    software = ", ".join(f"{name.replace('tensorflow_cpu', 'TensorFlow')} {version}" for name, version in versions.items())
    lines = [f"- **{entry.task}**: {entry.protocol}; {entry.facts['precision']}; {machine['processor']}, {threads}; {software}."]
    lines += [f"  {peer}, images/s in the short measurement: {_tried(speeds)}." for peer, speeds in entry.tried.items()]
    lines += [f"  `{entry.command}`"]
    return "\n".join(lines)


def _tried(speeds: dict[str, float]) -> str:
    """Return the settings that were tried, the fastest first and in bold."""
    ordered = sorted(speeds, key=lambda name: -speeds[name])
    shown = [f"{name} {rate(speeds[name]) if speeds[name] else '(failed)'}" for name in ordered]
    return "; ".join([f"**{shown[0]}**", *shown[1:]])


def main() -> None:
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE)


if __name__ == "__main__":
    main()
