"""A chart of accuracies: one line for each method, a dot with its 95 % interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

_WIDTH, _NAMES, _ROW, _EDGE = 900, 330, 24, 16  # pixels: of the chart, of the titles, of a line, of the margin
_BLUE, _GREY, _FAINT = (40, 90, 200), (130, 130, 130), (225, 225, 225)


@dataclass(frozen=True)
class Bar:
    """One line: shares in [0, 1], the value and the ends of its interval; baselines are grey."""

    title: str
    value: float
    low: float
    high: float
    baseline: bool


def accuracy_chart(bars: Sequence[Bar]) -> Image.Image:
    """Return the chart. Its axis begins at a multiple of 10 % below all intervals, and ends at 100 %."""
    start = math.floor(10 * min(bar.low for bar in bars)) / 10
    start = min(start, 0.9)

    def across(share: float) -> float:
        return _NAMES + (share - start) / (1 - start) * (_WIDTH - _NAMES - 2 * _EDGE)

    height = (len(bars) + 1) * _ROW + _EDGE
    canvas = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(canvas)
    for tick in range(round(10 * start), 11):
        draw.line((across(tick / 10), _EDGE // 2, across(tick / 10), height - _ROW), _FAINT)
        draw.text((across(tick / 10), height - _ROW // 2), f"{10 * tick} %", "black", anchor="mm")
    for at, bar in enumerate(bars):
        middle, colour = _EDGE + at * _ROW + _ROW // 2, _GREY if bar.baseline else _BLUE
        draw.text((_NAMES - _EDGE, middle), bar.title, "black", anchor="rm")
        draw.line((across(bar.low), middle, across(bar.high), middle), colour, 3)
        dot = across(bar.value)
        draw.ellipse((dot - 5, middle - 5, dot + 5, middle + 5), colour)
    return canvas
