"""Measure a trained model on all test images: likelihood, reconstruction, latents, fidelity, diversity, memorization.

The metrics depend on the capabilities of the model. Every value has its error over images, its sample count and its protocol.
Fidelity compares generated with real images in the features of a network that the toolkit trains itself, once for each data
set ('simulacra extractor --help'): the Fréchet distance (FD) and the kernel distance are those of FID and KID in other features.
Results are stored in RUN/evaluation and cached. 'simulacra explain NAME' explains a number, a warning or a flag.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from simulacra.interfaces.arguments import Parser, add_settings, examples, given
from simulacra.interfaces.command import add_run, inapplicable_flags, opened_run
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending
from simulacra.interfaces.tables import table

EXAMPLES = examples(
    "simulacra evaluate runs/first",
    "simulacra evaluate runs/first --particles 500",
    "simulacra evaluate runs/first --split validation            # to choose settings",
    "simulacra evaluate runs/first --samples 0                   # no fidelity: needs no extractor",
    "simulacra evaluate runs/photos --extractor resnet18:cifar10-jpeg",
    "simulacra evaluate runs/first --verbose                     # every number, with its protocol",
    "simulacra evaluate runs/first --json > metrics.json",
)
POSITION = ("measure", 1)


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags; in the help of a given run only those that apply to its model."""
    from simulacra.evaluation.settings import evaluate_config, setting_needs

    hidden = inapplicable_flags(words, setting_needs())
    add_settings(parser, "evaluation", evaluate_config(), without=hidden)
    verbose = "print every number with its protocol, and the reason of each that was not measured"
    parser.add_argument("--verbose", action="store_true", help=verbose)
    add_run(parser)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Evaluate."""
    from simulacra.evaluation.evaluate import evaluate
    from simulacra.evaluation.settings import evaluate_config, evaluation_settings, setting_needs
    from simulacra.runs.applicable import require_applicable

    flags = given(parsed, evaluate_config())
    settings = evaluation_settings(flags, "the flags")
    opened = opened_run(parsed, console)
    require_applicable(opened.model, flags, setting_needs())
    result = evaluate(opened, settings, console)
    console.result(result, lambda: text(result, parsed.verbose))
    return 0


def text(result: Mapping[str, Any], verbose: bool = False) -> str:
    """Return three sentences, the table of the numbers that matter, and what was not measured; verbose: everything."""
    from simulacra.evaluation.metric_table import DETAILS, protocol_lines

    metrics = result["metrics"]
    rows = [_row(name, metrics) for name in metrics if verbose or name not in DETAILS]
    lines = (
        [*result["summary"], "", table(("metric", "value", "real images", "better", "images"), rows)]
        if rows
        else result["summary"]
    )
    if verbose:
        few = {name: item["protocol"].get("few_samples") for name, item in metrics.items()}
        lines += ["", *protocol_lines(metrics), *(f"few images: {name}: {words}" for name, words in few.items() if words)]
        lines += [f"not measured: {', '.join(names)}: {reason}" for reason, names in _by_reason(result).items()]
    else:
        lines += ["", *_notes(result)]
    stated = result["summary"][0].lower()
    lines += [f"warning: {sentence}" for sentence in result["warnings"] if sentence.partition(": ")[2].lower() not in stated]
    following = result["next"].removeprefix("simulacra ")
    return ending(lines, *([] if following.startswith("report ") else [following]), "report {run}", run=result["run"])


def _row(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    from simulacra.evaluation.metric_table import of_real_images
    from simulacra.metrics import quantity
    from simulacra.metrics.statistics.measurement import Measurement

    items = {key: Measurement.of(item) for key, item in metrics.items()}
    value, real = (shown.replace("±", "+-") for shown in (items[name].text, of_real_images(name, items)))
    better, count = quantity(name).better, f"{items[name].n:,}"
    few = ", few" if "few_samples" in items[name].protocol else ""
    return name, value, real, "" if better == "neither" else better, count + few


def _by_reason(result: Mapping[str, Any]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in result["not_applicable"].items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def _notes(result: Mapping[str, Any]) -> list[str]:
    """Return what was not measured in one line, which need more images, and the meaning of the marks of the table."""
    from simulacra.metrics.statistics.measurement import is_too_few

    of_family = "this family has no "
    reasons = _by_reason(result)
    absent = [reason.removeprefix(of_family) for reason in reasons if reason.startswith(of_family)]
    few_images = [reason for reason in reasons if is_too_few(reason)]
    rest = [reason for reason in reasons if reason not in few_images and not reason.startswith(of_family)]
    others = [name for reason in rest for name in reasons[reason]]
    parts = [f"{of_family}{' or '.join(filter(None, [', '.join(absent[:-1]), absent[-1]]))}"] if absent else []
    parts += [f"for other reasons {', '.join(others)}"] if others else []
    lines = [f"not measured: {reason}" for reason in few_images]
    lines += [f"not measured: {'; '.join(parts)}"] if parts else []
    few = any("few_samples" in item["protocol"] for item in result["metrics"].values())
    explained = "few: so few images that the value is imprecise, or biased. " if few else ""
    return [*lines, f"{explained}--verbose adds every number, its protocol, and every reason"]
