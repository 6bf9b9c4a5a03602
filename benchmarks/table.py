"""What the rounds of a benchmark say, as Markdown. Ratios are taken within a round; stated are their median and range."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Rounds = dict[str, list[dict[str, float]]]  # variant -> one record per round


@dataclass(frozen=True)
class Reference:
    """What speeds are related to: two variants, the work of one image, and the best rates of matrix products."""

    usual: str
    engine: str
    flops_per_image: float
    gflops: dict[str, float]  # arithmetic -> the best rate of all rounds


def table(rounds: Rounds, arithmetic: dict[str, str], reference: Reference) -> str:
    """Return one row per variant."""
    head = [
        "variant",
        "images/s",
        f"against the {reference.usual}",
        f"{reference.engine} against it",
        "of the matrix-product peak",
        "peak memory above start, MiB",
        "peak memory, MiB",
    ]
    rows = [_row(variant, rounds, arithmetic[variant], reference) for variant in rounds]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def ratios(rounds: Rounds, variant: str, other: str, key: str = "images_per_second") -> list[float]:
    """Return variant / other, round by round."""
    return [mine[key] / theirs[key] for mine, theirs in zip(rounds[variant], rounds[other], strict=True)]


def rate(images_per_second: float) -> str:
    """Return a speed; with two digits after the point where it is a few images a second.

    >>> rate(1234.5), rate(0.581)
    ('1,234', '0.58')
    """
    return f"{images_per_second:,.{0 if images_per_second >= 10 else 2}f}"


def span(values: Sequence[float], form: str = ".2f") -> str:
    """Return median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def _row(variant: str, rounds: Rounds, arithmetic: str, reference: Reference) -> list[str]:
    speed = _median(rounds, variant, "images_per_second")
    fraction = speed * reference.flops_per_image / (reference.gflops[arithmetic] * 1e9)
    return [
        variant,
        rate(speed),
        span(ratios(rounds, variant, reference.usual)),
        span(ratios(rounds, reference.engine, variant)),
        f"{100 * fraction:.0f} % ({arithmetic})" if not math.isnan(fraction) else "-",
        f"{_median(rounds, variant, 'above_start_mib'):,.0f}",
        f"{_median(rounds, variant, 'peak_mib'):,.0f}",
    ]


def _median(rounds: Rounds, variant: str, key: str) -> float:
    return statistics.median(row[key] for row in rounds[variant])
