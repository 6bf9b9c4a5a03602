"""Rank trained models: evaluate each on its test set with the same settings, and report significant differences.

Two values differ only where their difference is significant at the 5 % level, with Holm's correction for all pairs and metrics;
means over the same images are compared image by image. Others are ties. Values of different protocols (other data, another
extractor, other counts) are listed and not ranked, with the setting that differs. Of runs that differ in the seed of their
training alone, mean and standard deviation are listed. Results are cached. --html writes a page with samples of all runs side by
side.
"""

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from simulacra.core.home import expand_home
from simulacra.core.text import quoted
from simulacra.interfaces.arguments import MachineConfig, Parser, add_family_file, add_settings, examples, given, machine
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending
from simulacra.interfaces.tables import table

if TYPE_CHECKING:
    from simulacra.evaluation.compare import Comparison
    from simulacra.evaluation.ranking import Place

EXAMPLES = examples(
    "simulacra compare runs/first runs/second",
    "simulacra compare runs/* --html comparison.html --csv comparison.csv",
    "simulacra compare runs/first runs/second --samples 0        # no fidelity: needs no extractor",
    "simulacra compare runs/first runs/second --json > comparison.json",
)
POSITION = ("measure", 2)

_WIDTH = 100  # characters of a line


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    parser.add_argument("--csv", type=expand_home, metavar="FILE", help="write one line for every metric of every run")
    html = "write a page with the metrics, and samples of all runs side by side"
    parser.add_argument("--html", type=expand_home, metavar="FILE", help=html)
    from simulacra.evaluation.settings import evaluate_config

    add_settings(parser, "evaluation", evaluate_config())
    add_family_file(parser)
    add_settings(parser, "machine", MachineConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Compare."""
    from simulacra.evaluation.compare import compare_runs
    from simulacra.evaluation.settings import evaluate_config, evaluation_settings
    from simulacra.reports.comparison_page import check_comparison, write_comparison

    check_comparison(parsed.csv, parsed.html)
    settings = evaluation_settings(given(parsed, evaluate_config()), "the flags")
    comparison = compare_runs(parsed.runs, settings, console, machine(parsed).device)
    written = write_comparison(comparison, parsed.csv, parsed.html, console)
    first = next(iter(comparison.runs.values())).run.path
    following = (
        "report {run}" if parsed.html else f"compare {' '.join(quoted(run) for run in parsed.runs)} --html comparison.html"
    )
    made = [text(comparison), *(f"written: {path}" for path in written)]
    console.result(comparison.table(), lambda: ending(made, following, run=first))
    return 0


def text(comparison: "Comparison") -> str:
    """Return a comparison as lines for the terminal."""
    letters = dict(zip(comparison.runs, map(_letter, range(len(comparison.runs))), strict=True))
    rows = _rows(comparison, letters)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][1:]
    titles = ("", *(_title(letter, name, width) for (name, letter), width in zip(letters.items(), widths, strict=True)))
    wrapper = textwrap.TextWrapper(_WIDTH, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False)
    legend, notes = (map(wrapper.fill, lines) for lines in (_legend(comparison, letters), _notes(comparison, letters)))
    return "\n".join([*legend, "", table(titles, rows), "", *notes])


def _letter(index: int) -> str:
    """Return the name of a column.

    >>> _letter(0), _letter(27)
    ('A', 'B2')
    """
    turn, place = divmod(index, 26)
    return f"{chr(ord('A') + place)}{turn + 1 if turn else ''}"


def _title(letter: str, name: str, width: int) -> str:
    """Return the title of a column: its letter, and the name of the run where the column is wide enough."""
    whole = f"    {letter} {name}"
    return whole if len(whole) <= width else f"    {letter}"


def _legend(comparison: "Comparison", letters: dict[str, str]) -> list[str]:
    lines = []
    for name, letter in letters.items():
        facts, data = comparison.results[name], comparison.results[name]["data"]
        what = f"{facts['family']} at step {facts['checkpoint']:,}, {facts['training']['parameters']:,} parameters"
        lines.append(f"{letter}  {name}: {what}, on the {data['n']:,} {data['split']} images of {data['name']}")
    return lines


def _rows(comparison: "Comparison", letters: dict[str, str]) -> list[tuple[str, ...]]:
    """Return one row for each metric, or two, with the errors in the second, where one row would be too wide."""
    cells = {ranking.metric: [_cell(ranking.of(run)) for run in letters] for ranking in comparison.rankings}
    whole = [(metric, *(" ".join(cell).rstrip() for cell in own)) for metric, own in cells.items()]
    if sum(max(map(len, column)) + 2 for column in zip(*whole, strict=True)) - 2 <= _WIDTH:
        return whole
    rows: list[tuple[str, ...]] = []
    for metric, own in cells.items():
        rows.append((metric, *(value for value, _ in own)))
        if any(error for _, error in own):
            rows.append(("", *("  " + error.strip("()").replace(" to ", "-") for _, error in own)))
    return rows


def _cell(place: "Place | None") -> tuple[str, str]:
    """Return the rank and the value of a run, and separately its error."""
    if place is None:
        return "    -", ""
    best = "*" if place.rank == 1 else " "
    rank = "" if place.rank is None else f"{place.rank}{'=' if place.ties else ''}"
    value, _, error = place.measurement.text.replace("±", "+-").partition(" ")
    return f"{best}{rank:<2} {value}", error


def _notes(comparison: "Comparison", letters: dict[str, str]) -> list[str]:
    """Return the meaning of the marks, metrics that are not ranked and why, missing metrics, and warnings."""
    from simulacra.evaluation.ranking import refusals
    from simulacra.metrics.statistics.measurement import Measurement

    rankings = comparison.rankings
    tests = sum(len(ranking.differences) for ranking in rankings if not ranking.exact)
    correction = f"at the 5 % level, with Holm's correction for {tests} tests" if tests > 1 else "at the 5 % level"
    lines = [f"*: the best, or not significantly worse ({correction}); 1, 2: rank; =: a tie, no significant difference"]
    if paired := [ranking.metric for ranking in rankings if any(item.paired for item in ranking.differences)]:
        lines.append(f"compared image by image, so that differences may be significant where errors overlap: {', '.join(paired)}")
    for item in comparison.repeats:
        ranked = {ranking.metric for ranking in rankings if ranking.ranked}
        spreads = ((name, Measurement(*own, 1).text.replace("±", "+-")) for name, own in item.spread.items() if name in ranked)
        trained = ", ".join(letters[name] for name in item.runs)
        spread = ", ".join(map(" ".join, spreads))
        lines.append(f"{trained}: {len(item.runs)} trainings, mean +- standard deviation over their seeds: {spread}")
    if counts := [ranking.metric for ranking in rankings if ranking.exact]:
        lines.append(f"counts without an interval, ranked as they are: {', '.join(counts)}")
    if neutral := [ranking.metric for ranking in rankings if ranking.better == "neither" and not ranking.refused]:
        lines.append(f"neither better nor worse: {', '.join(neutral)}")
    lines += [f"not ranked: {', '.join(metrics)}: {why}" for why, metrics in refusals(rankings).items()]
    missing = {letter: comparison.results[name]["not_applicable"] for name, letter in letters.items()}
    grouped: dict[tuple[str, str], list[str]] = {}
    for metric, reason in dict.fromkeys(fact for facts in missing.values() for fact in facts.items()):
        runs = [letter for letter, facts in missing.items() if facts.get(metric) == reason]
        grouped.setdefault((", ".join(runs), reason), []).append(metric)
    lines += [f"not measured in {runs}: {', '.join(metrics)}: {reason}" for (runs, reason), metrics in grouped.items()]
    for name, letter in letters.items():
        lines += [f"warning, {letter}: {sentence}" for sentence in comparison.results[name]["warnings"]]
    return lines
