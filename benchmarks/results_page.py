"""The page of results: one table with a row for each recipe, made from run folders; what is written by hand around it stays.

Rows are kept in a JSON file beside the page. Runs that are given replace the row of their recipe or add one, all other rows stay
as they are, so that a new family joins the table without the runs of the others.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from simulacra.core.capabilities import Reconstructs, Samples, Translates
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.files import write_json, write_text
from simulacra.core.progress import Progress
from simulacra.core.text import quoted
from simulacra.data.sources import located
from simulacra.engine.settings import OF_THE_MACHINE
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.metric_table import protocol_lines
from simulacra.images.files import save_png
from simulacra.images.grid import GAP, are_points, enlargement, grid_of_rows, image_grid, overview_count
from simulacra.metrics import quantity
from simulacra.metrics.settings import SharedSettings
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.reports.run_page import duration
from simulacra.runs.image_to_image.reconstruction import reconstruct
from simulacra.runs.image_to_image.translation import cycle, source_of
from simulacra.runs.sampling import sample
from simulacra.runs.settings import RunConfig, read_recipe, resolve
from simulacra.runs.test_images import choose_images

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun

Row = dict[str, Any]

BEGIN = "<!-- begin results: benchmarks/results.py replaces everything between this line and the end mark -->"
END = "<!-- end results -->"
TRANSLATION = (
    "translation_psnr_db_to_b", "untranslated_psnr_db_to_b", "translation_psnr_db_to_a", "untranslated_psnr_db_to_a",
    "translation_accuracy_to_b", "untranslated_accuracy_to_b", "translation_accuracy_to_a", "untranslated_accuracy_to_a",
    "cycle_mse_a", "cycle_mse_b",
)  # fmt: skip
COLUMNS = (
    "negative_elbo_nats", "nll_nats", "entropy_nats", "bits_per_dim", "mse", "ssim", "frechet_distance", "frechet_floor",
    "kernel_distance", "precision", "recall", "coverage", "modes_covered", "class_kl", "label_agreement", "cas_accuracy",
    "high_quality_share", "nearest_train_ratio", "active_units", "knn_accuracy", *TRANSLATION,
)  # fmt: skip
"""Metrics that have a column where some row has them; all of them are in the JSON file."""

_ARROWS = {"smaller": " ↓", "larger": " ↑", "neither": ""}
_NOT_WHAT = {"train.seed", "train.track", *(f"train.{name}" for name in OF_THE_MACHINE)}  # in which runs of one row may differ
_WIDE, _ACROSS = 1040, 16  # pixels, and images, in a row of a picture
_ROUNDING = 1e-9  # of a number: a smaller spread is that of sums in another order


def results(runs: Sequence["OpenedRun"], page: Path, recipes: Path, settings: SharedSettings, progress: Progress) -> list[Row]:
    """Evaluate runs, write their rows into the page and into the JSON file beside it, and return all rows of the page.

    Runs whose settings differ in nothing but the seed, and in where they were computed, are one row; its name is that of the
    recipe in the folder `recipes` that they follow, else that of their folder. Raises UsageError for a page without the two
    marks, for rows of one name, and for other than test images.
    """
    if settings.split != "test":
        raise UsageError(f"results are of test images, and --split is {settings.split}: leave it out")
    text = _text(page)
    rows = _stored(page)
    for name, group in grouped(runs, recipes).items():
        progress.message(f"{name}: {len(group)} run{'s' if len(group) > 1 else ''}")
        found = [evaluate(trained, settings, progress) for trained in group]
        recipe = _link(recipes / f"{name}.toml", page)
        rows[name] = {"name": name, "recipe": recipe, **row(group, found), "picture": _draw(group[0], name, page)}
    kept = sorted(rows.values(), key=lambda held: (held["data"]["name"], held["name"]))
    write_json(page.with_suffix(".json"), kept)
    write_text(page, _filled(text, _block(kept)))
    return kept


# --- which runs are one row


def grouped(runs: Sequence["OpenedRun"], recipes: Path) -> dict[str, list["OpenedRun"]]:
    """Return the runs of each row by its name, in the order of their seeds. Raises UsageError where that cannot be."""
    groups: dict[str, list[OpenedRun]] = {}
    for trained in runs:
        if not trained.run.provenance.get("finished"):
            raise UsageError(f"{trained.run.path} is not finished: go on with `simulacra resume {quoted(trained.run.path)}`")
        groups.setdefault(_what(trained), []).append(trained)
    named: dict[str, list[OpenedRun]] = {}
    for group in groups.values():
        name = _name(group[0], recipes)
        if name in named:
            others = f"{named[name][0].run.path} and {group[0].run.path}"
            raise UsageError(f"two rows are called {name!r}, since {others} differ in more than the seed: rename one folder")
        named[name] = sorted(group, key=_seed)
        seeds = [_seed(trained) for trained in named[name]]
        if len(set(seeds)) < len(seeds):
            raise UsageError(f"{name} has several runs of one seed ({seeds}): give each run once")
    return named


def follows(config: RunConfig, recipe: Path) -> bool:
    """Return whether settings are those of a recipe, but for the seed and for where and how they are computed."""
    stated = resolve(read_recipe(recipe), {}, str(recipe))
    if stated.family != config.family:
        return False
    free = _NOT_WHAT | ({"train.precision"} if stated.train.precision == "auto" else set())
    theirs, ours = replace(stated, data=located(stated.data)).flat(), config.flat()
    return all(ours[name] == value for name, value in theirs.items() if name not in free)


def _what(trained: "OpenedRun") -> str:
    """Return all that the runs of one row have in common."""
    facts = {name: value for name, value in trained.run.config.flat().items() if name not in _NOT_WHAT}
    return json.dumps([facts, trained.run.provenance["data"]["digest"]], sort_keys=True)


def _name(trained: "OpenedRun", recipes: Path) -> str:
    for recipe in sorted(recipes.glob("*.toml")):
        if follows(trained.run.config, recipe):
            return recipe.stem
    return re.sub(r"-\d+$", "", trained.run.path.resolve().name)


def _seed(trained: "OpenedRun") -> int:
    return trained.run.config.train.seed


# --- a row


def row(runs: Sequence["OpenedRun"], found: Sequence[Mapping[str, Any]]) -> Row:
    """Return the contents of a row: the numbers of all seeds as one, and what their training took."""
    first = runs[0].run.provenance
    training = [result["training"] for result in found]
    machine = _machine(training[0]["hardware"])
    return {
        "family": found[0]["family"],
        "data": found[0]["data"],
        "seeds": [facts["seed"] for facts in training],
        "metrics": across([result["metrics"] for result in found]),
        "training_seconds": fmean(facts["seconds"] for facts in training if _machine(facts["hardware"]) == machine),
        "steps": found[0]["checkpoint"],
        "parameters": training[0]["parameters"],
        "hardware": machine,
        "precision": runs[0].run.config.train.precision,
        "versions": {"torch": first.get("versions", {}).get("torch", ""), "commit": first.get("commit", "")},
        "command": re.sub(r"^__main__\.py\b", "simulacra", training[0]["command"]),
        "warnings": [f"seed {result['training']['seed']}: {warning}" for result in found for warning in result["warnings"]],
    }


def across(found: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the metrics that all seeds have: of one seed as they are, of several their mean and their standard deviation."""
    if len(found) == 1:
        return {name: dict(item) for name, item in found[0].items()}
    shared = [name for name in found[0] if all(name in metrics for metrics in found)]
    return {name: _over_seeds([metrics[name] for metrics in found]) for name in shared}


def _over_seeds(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [item["value"] for item in items]
    facts = {"value": fmean(values), "standard_deviation": stdev(values), "seeds": len(values), "values": values}
    return {**facts, "n": items[0]["n"], "protocol": items[0]["protocol"]}


def _machine(hardware: Mapping[str, Any]) -> str:
    """Return the processor or GPU, and the threads on a processor."""
    if "gpu" in hardware:
        return str(hardware["gpu"])
    return f"{hardware.get('processor', 'unknown')}, {hardware.get('threads', '?')} threads".replace(" 1 threads", " 1 thread")


def _draw(trained: "OpenedRun", name: str, page: Path) -> str:
    """Draw samples, or reconstructions where the model makes none; return the picture's place beside the page."""
    spec = trained.spec
    width = enlargement(spec.height, spec.width) * spec.width + GAP
    columns = max(2, min(_ACROSS, _WIDE // width))
    count = overview_count(spec.shape) if are_points(spec.shape) else 2 * columns
    if isinstance(trained.model, Samples):
        picture = image_grid(sample(trained, count), columns)
    elif isinstance(trained.model, Reconstructs):
        shown = trained.dataset.test.head(count // 2).images
        picture = grid_of_rows((shown, reconstruct(trained, shown)), columns)
    elif isinstance(trained.model, Translates):
        to = trained.model.domains[1]
        originals = choose_images(trained.dataset[source_of(trained, to)].test, columns, 0, columns).images
        picture = grid_of_rows(cycle(trained, originals, to), columns)
    else:
        return ""
    place = Path("..", "pictures", f"results-{name}.png")
    save_png(picture, page.parent / place)
    return place.as_posix()


# --- the page


def _block(rows: Sequence[Row]) -> str:
    """Return the Markdown between the marks."""
    measured = [held for held in rows if not held["metrics"].keys().isdisjoint(COLUMNS)]
    translating = [held for held in measured if not held["metrics"].keys().isdisjoint(TRANSLATION)]
    others = [held for held in measured if held not in translating]
    tables = [_table(group) for group in (others, translating) if group]  # apart, since they share no column
    unmeasured = ", ".join(held["name"] for held in rows if held not in measured)
    notes = [f"Trained, and not measured: {unmeasured}."] if unmeasured else []
    return "\n\n".join([*tables, *notes, _legend(rows), "## Each recipe", *(_section(held) for held in rows)])


def _table(rows: Sequence[Row]) -> str:
    shown = [name for name in COLUMNS if any(name in held["metrics"] for held in rows)]
    titles = ["recipe", "data", "seeds", *(quantity(name).title + _ARROWS[quantity(name).better] for name in shown)]
    titles += ["training", "parameters", "hardware"]
    lines = [_cells(titles), _cells(["---"] * len(titles))]
    for held in rows:
        name = f"[{held['name']}]({held['recipe']})" if held["recipe"] else held["name"]
        numbers = [cell(held["metrics"][column]) if column in held["metrics"] else "" for column in shown]
        facts = [duration(held["training_seconds"]), f"{held['parameters']:,}", held["hardware"]]
        lines.append(_cells([name, held["data"]["name"], str(len(held["seeds"])), *numbers, *facts]))
    return "\n".join(lines)


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def cell(metric: Mapping[str, Any]) -> str:
    """Return a number of the table with its spread over seeds, if it is more than float64's rounding, or its error over images.

    >>> cell({"value": 95.876, "standard_deviation": 0.123}), cell({"value": 8.0, "standard_deviation": 0.0})
    ('95.88 ± 0.12', '8')
    >>> cell({"value": 0.91, "interval": [0.89, 0.93]})
    '0.910 (0.890 to 0.930)'
    >>> cell({"value": 0.2939, "standard_deviation": 9e-13})
    '0.2939'
    """
    error = metric.get("standard_deviation", metric.get("standard_error"))
    if error is not None and error < _ROUNDING * abs(metric["value"]):
        error = 0.0
    return Measurement.of({"n": 0, "protocol": {}, **metric, "standard_error": error}).text


def _legend(rows: Sequence[Row]) -> str:
    """Return the meaning of the signs of the table, for those that occur in it."""
    several, single = (any((len(held["seeds"]) > 1) is many for held in rows) for many in (True, False))
    lines = ["Training is the mean over the seeds that ran on the hardware named, the first at least." if several else ""]
    lines += ["Where a row has several seeds, a number is their mean ± their standard deviation."] * several
    lines += ["Where it has one, it is the value ± its standard error, or with its 95 % interval in brackets."] * single
    return " ".join(["↓: smaller is better, ↑: larger.", *filter(None, lines)])


def _section(held: Row) -> str:
    """Return the section of one row: how it was trained and evaluated, and its images."""
    seeds = ", ".join(map(str, held["seeds"]))
    commit = held["versions"]["commit"].partition("+")[0][:10]
    made = f"seed{'s' if len(held['seeds']) > 1 else ''} {seeds}; {held['steps']:,} steps; {held['precision']}"
    made += f"; torch {held['versions']['torch']}" + (f"; commit {commit}" if commit else "")
    lines = [f"### {held['name']}", f"`{held['command']}`: {made}.", _protocols(held)]
    lines += [f"*{warning}*" for warning in held["warnings"]]
    if held["picture"]:
        lines.append(f"![What {held['name']} makes, none chosen]({held['picture']})")
    return "\n\n".join(lines)


def _protocols(held: Row) -> str:
    """Return how the numbers of a row in the table were measured, those alike together."""
    shown = {name: held["metrics"][name] for name in COLUMNS if name in held["metrics"]}
    lines = protocol_lines(shown, lambda name: quantity(name).title.partition(",")[0])
    data = f"On {held['data']['n']:,} {held['data']['split']} images of {held['data']['name']}."
    return "\n".join([data, "", *(f"- {line}" for line in lines)])


def _link(recipe: Path, page: Path) -> str:
    """Return the link from the page to a recipe, empty where it is none or in another folder."""
    if not recipe.exists():
        return ""
    root = page.resolve().parents[2]
    return f"../../{recipe.resolve().relative_to(root).as_posix()}" if recipe.resolve().is_relative_to(root) else ""


def _text(page: Path) -> str:
    """Return the existing page; raises UsageError where it lacks a mark."""
    if not page.exists():
        return f"# Results\n\n{BEGIN}\n{END}\n"
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UsageError(f"{page} lacks the place for the table: add these two lines where it belongs:\n{BEGIN}\n{END}")
    return text


def _filled(text: str, block: str) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def _stored(page: Path) -> dict[str, Row]:
    """Return the rows of the JSON file beside the page; raises SimulacraError where it cannot be read."""
    path = page.with_suffix(".json")
    if not path.exists():
        return {}
    try:
        return {held["name"]: held for held in json.loads(path.read_text())}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SimulacraError(f"{path} cannot be read ({error}): bring it back, or delete it and give all runs again") from error
