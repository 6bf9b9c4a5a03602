"""Train what is missing of the recipes' runs, and write the page of results from all of them.

    python benchmarks/results.py [--recipes recipes] [--runs runs/results] [--out docs/reference/results.md] [...]

One run for each recipe and seed: three seeds where the recipe's header says that it trains for less than five minutes, else one.
Runs that stand in the folder are not trained again, those that were interrupted go on. Other folders of runs in there join the
table, too. What else is given are settings of `simulacra evaluate`.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.results_page import follows, results

from simulacra.core.errors import SimulacraError
from simulacra.evaluation.settings import evaluate_config, evaluation_settings
from simulacra.interfaces.arguments import Parser, add_settings, given
from simulacra.interfaces.display.console import Console
from simulacra.runs.opened import open_run
from simulacra.runs.run import Run
from simulacra.runs.settings import read_recipe

SHORT = 300  # seconds of training up to which a recipe is run in several seeds
SEEDS = 3
_TIME = re.compile(r"^# time: ([\d,.]+) s\b", re.MULTILINE)


def seeds(recipe: Path) -> range:
    """Return the seeds of a recipe, by the training time that its header states."""
    stated = _TIME.search(recipe.read_text())
    return range(SEEDS if stated and float(stated[1].replace(",", "")) < SHORT else 1)


def trained(recipe: Path, seed: int, out: Path) -> None:
    """Train a recipe into `out`, or go on where that was interrupted; raises SimulacraError if `out` is another recipe's."""
    if not (out / "config.toml").exists():
        simulacra("train", read_recipe(recipe)["family"], "--recipe", recipe, "--seed", seed, "--out", out)
        return
    run = Run.open(out)
    if not follows(run.config, recipe) or run.config.train.seed != seed:
        raise SimulacraError(f"{out} does not follow {recipe} as it stands now: remove or rename that folder, and start again")
    if not run.provenance.get("finished"):
        simulacra("resume", out)


def simulacra(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "simulacra", *map(str, words)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", type=Path, default=Path("recipes"))
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/reference/results.md"))
    parsed, others = parser.parse_known_args()
    evaluation = Parser(prog="results.py")
    add_settings(evaluation, "the evaluation", evaluate_config())
    try:
        for recipe in sorted(parsed.recipes.glob("*.toml")):
            for seed in seeds(recipe):
                trained(recipe, seed, parsed.runs / f"{recipe.stem}-{seed}")
        runs = sorted(path.parent for path in parsed.runs.glob("*/config.toml"))
        settings = evaluation_settings(given(evaluation.parse(others), evaluate_config()))
        console = Console()
        results([open_run(run, progress=console) for run in runs], parsed.out, parsed.recipes, settings, console)
    except SimulacraError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
