"""Write a page of results from run folders: one table, a row for each recipe, what it took and how it was measured.

Runs that differ in nothing but the seed are one row: the mean, and the standard deviation over seeds. Runs are evaluated as
'simulacra evaluate' does; what was measured before is not measured again. Rows are kept in a JSON file beside the page, so that
rows of other runs stay, and so does all that is written by hand outside of the two marks. A new page is made where there is none.
"""

import argparse
from pathlib import Path

from simulacra.interfaces.arguments import Parser, add_settings, examples, given
from simulacra.interfaces.console import Console
from simulacra.tasks.settings import EvaluateConfig

EXAMPLES = examples(
    "simulacra results runs/vae-*",
    "simulacra results runs/results/* --out docs/results.md",
    "simulacra results runs/mine-0 runs/mine-1 --particles 500 --json",
)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, several seeds of a recipe among them")
    parser.add_argument("--out", type=Path, default=Path("results.md"), metavar="MD", help="the page (default: results.md)")
    parser.add_argument(
        "--recipes", type=Path, default=Path("recipes"), metavar="FOLDER", help="recipes that name the rows (default: recipes)"
    )
    add_settings(parser, "the evaluation", EvaluateConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Write the page."""
    from simulacra.tasks.results import results
    from simulacra.tasks.trained import open_run

    runs = [open_run(path, progress=console) for path in parsed.runs]
    rows = results(runs, parsed.out, parsed.recipes, EvaluateConfig.of(given(parsed, EvaluateConfig)), console)
    console.result({"path": str(parsed.out), "rows": rows}, lambda: f"{len(rows)} rows in {parsed.out}")
    return 0
