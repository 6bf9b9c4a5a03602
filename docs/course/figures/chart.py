"""Charts as SVG files: lines, horizontal bars and panels of points, on a white card that is readable on dark pages too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURES = Path(__file__).parents[2] / "pictures"
COLOURS = ("#1f5fa8", "#c2541b", "#2e7d4f", "#7a3f98", "#5b6470")
_INK, _MUTED, _GRID = "#1c1e22", "#5b6470", "#e3e3e3"
_FONT = 'font-family="Helvetica, Arial, sans-serif"'
_DASHES = ("", "7 4", "2 4", "9 3 2 3", "4 4")
_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 52, 56  # margins around the frame

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Label, limits, positions of the ticks and scale of an axis."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at the lower limit, 1 at the upper."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def lines(name: str, title: str, series: dict[str, Pairs], x: Axis, y: Axis, *, legend: str = "top") -> None:
    """Write a chart with a line and markers for each series of (x, y) pairs; the legend is on the right, at `top` or `bottom`."""
    parts = _frame(x, y)
    first = _TOP + 16 if legend == "top" else _HEIGHT - _BOTTOM + 4 - 18 * len(series)
    for number, (label, pairs) in enumerate(series.items()):
        colour, dash = COLOURS[number % 5], _DASHES[number % 5]
        at = [(_x(x.share(a)), _y(y.share(b))) for a, b in pairs]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>')
        if len(at) > 2:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.6" fill="{colour}"/>' for a, b in at]
        top = first + 18 * number
        parts.append(
            f'<line x1="{_WIDTH - 226}" x2="{_WIDTH - 196}" y1="{top - 4}" y2="{top - 4}" stroke="{colour}" '
            f'stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
        parts.append(_text(_WIDTH - 190, top, label, size=12))
    _write(name, title, parts, _WIDTH, _HEIGHT)


def bars(name: str, title: str, values: dict[str, float], unit: str, reference: tuple[str, float] | None = None) -> None:
    """Write horizontal bars with their values; `reference` is a vertical line with a label."""
    row, left, right = 34, 250, 86
    high = max([*values.values(), reference[1] if reference else 0.0]) or 1.0
    scale = (_WIDTH - left - right) / high
    parts = []
    for number, (label, value) in enumerate(values.items()):
        top = 56 + row * number
        parts.append(_text(left - 10, top + 16, label, anchor="end"))
        parts.append(f'<rect x="{left}" y="{top}" width="{max(1.0, value * scale):.1f}" height="22" fill="{COLOURS[0]}"/>')
        parts.append(_text(left + value * scale + 6, top + 16, f"{value:.3g}"))
    bottom = 56 + row * len(values)
    if reference:
        at = left + reference[1] * scale
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="48" y2="{bottom}" stroke="{COLOURS[1]}" stroke-dasharray="5 3"/>')
        parts.append(_text(at, bottom + 14, f"{reference[0]}: {reference[1]:.3g}", anchor="middle", size=12))
    parts.append(_text(left, bottom + 34, unit, size=12, colour=_MUTED))
    _write(name, title, parts, _WIDTH, bottom + 48)


def panels(name: str, title: str, drawn: dict[str, list[str]], side: int = 200) -> None:
    """Write square panels in one row; each is a list of SVG elements in the unit square, with y upwards, and a caption."""
    gap = 16
    width = gap + len(drawn) * (side + gap)
    parts = []
    for number, (label, elements) in enumerate(drawn.items()):
        left, top = gap + number * (side + gap), 48
        parts.append(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="{_GRID}"/>')
        inside = f"translate({left} {top + side}) scale({side} {-side})"
        parts.append(f'<svg x="{left}" y="{top}" width="{side}" height="{side}" viewBox="{left} {top} {side} {side}">')
        parts.append(f'<g transform="{inside}">{"".join(elements)}</g></svg>')
        for line, text in enumerate(label.split("\n")):
            parts.append(_text(left + side / 2, top + side + 18 + 16 * line, text, anchor="middle", size=12))
    _write(name, title, parts, width, 48 + side + 48)


def dots(points: Pairs, colour: str = COLOURS[0], radius: float = 0.006, opacity: float = 0.5) -> list[str]:
    """Return points of the unit square as elements of a panel."""
    style = f'r="{radius}" fill="{colour}" fill-opacity="{opacity}"'
    return [f'<circle cx="{x:.4f}" cy="{y:.4f}" {style}/>' for x, y in points]


def path(points: Pairs, colour: str, width: float = 0.006) -> str:
    """Return a polyline in the unit square as an element of a panel."""
    text = " ".join(f"{x:.4f},{y:.4f}" for x, y in points)
    return f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _frame(x: Axis, y: Axis) -> list[str]:
    parts = []
    for tick in x.ticks:
        at = _x(x.share(tick))
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_y(0)}" y2="{_y(1)}" stroke="{_GRID}"/>')
        parts.append(_text(at, _HEIGHT - _BOTTOM + 18, f"{tick:g}", anchor="middle", size=12))
    for tick in y.ticks:
        at = _y(y.share(tick))
        parts.append(f'<line x1="{_x(0)}" x2="{_x(1)}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 8, at + 4, f"{tick:g}", anchor="end", size=12))
    parts.append(f'<line x1="{_x(0)}" x2="{_x(1)}" y1="{_y(0)}" y2="{_y(0)}" stroke="{_INK}"/>')
    parts.append(f'<line x1="{_x(0)}" x2="{_x(0)}" y1="{_y(0)}" y2="{_y(1)}" stroke="{_INK}"/>')
    parts.append(_text((_x(0) + _x(1)) / 2, _HEIGHT - 14, x.label, anchor="middle"))
    middle = (_y(0) + _y(1)) / 2
    parts.append(f'<g transform="rotate(-90 18 {middle})">{_text(18, middle, y.label, anchor="middle")}</g>')
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" {_FONT}>{escape(text)}</text>'
    )


def _write(name: str, title: str, parts: list[str], width: int, height: int) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    card = f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
    heading = f'<text x="16" y="28" font-size="15" font-weight="bold" fill="{_INK}" {_FONT}>{escape(title)}</text>'
    target = PICTURES / f"{name}.svg"
    target.write_text("\n".join([head, f"<title>{escape(title)}</title>", card, heading, *parts, "</svg>", ""]))
    print(f"wrote {target.relative_to(PICTURES.parents[1])}")
