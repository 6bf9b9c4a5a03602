"""Diagrams of layers: the arrows of a flow chart in Mermaid's syntax, drawn as SVG when the site is built."""

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_EDGE = re.compile(r'^\s*(\w+)(?:\["([^"]*)"\])? --> (\w+)(?:\["([^"]*)"\])?\s*$')
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 170, 44, 16, 40


class LayerDiagram(SphinxDirective):
    """A directed graph without cycles: each node is drawn below all nodes that point to it."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        labels, edges = parsed("\n".join(self.content))
        return [nodes.raw("", svg(labels, edges), format="html")]


def parsed(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    r"""Return the labels of the nodes and the edges; raises ValueError for a line of another form.

    >>> parsed('flowchart TD\na["A: top"] --> b')
    ({'a': 'A: top', 'b': 'b'}, [('a', 'b')])
    """
    labels: dict[str, str] = {}
    edges = []
    for line in text.split("\n"):
        if not line.strip() or line.startswith("flowchart"):
            continue
        match = _EDGE.match(line)
        if not match:
            raise ValueError(f"a line of the diagram is {line!r}, expected NAME --> NAME")
        for name, label in ((match[1], match[2]), (match[3], match[4])):
            labels[name] = label or labels.get(name, name)
        edges.append((match[1], match[3]))
    return labels, edges


def layers(labels: dict[str, str], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return the nodes by the length of the longest path to them, in each layer sorted by the positions of those above."""
    depth = dict.fromkeys(labels, 0)
    for _ in labels:
        for above, below in edges:
            depth[below] = max(depth[below], depth[above] + 1)
    found: list[list[str]] = [[name for name in labels if depth[name] == level] for level in range(max(depth.values()) + 1)]
    place: dict[str, float] = {}
    for layer in found:
        above = {name: [place[a] for a, b in edges if b == name] for name in layer}
        layer.sort(key=lambda name, above=above: sum(above[name]) / max(1, len(above[name])))  # type: ignore[misc]
        place |= {name: number - (len(layer) - 1) / 2 for number, name in enumerate(layer)}
    return found


def svg(labels: dict[str, str], edges: list[tuple[str, str]]) -> str:
    """Return the drawing; its colours are those of the text around it."""
    found = layers(labels, edges)
    width = max(map(len, found)) * (_WIDTH + _GAP_X) - _GAP_X + 4
    height = len(found) * (_HEIGHT + _GAP_Y) - _GAP_Y + 4
    x, y = {}, {}
    for level, layer in enumerate(found):
        left = (width - len(layer) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for number, name in enumerate(layer):
            x[name], y[name] = left + number * (_WIDTH + _GAP_X) + _WIDTH / 2, 2.0 + level * (_HEIGHT + _GAP_Y)
    arrows = "".join(_arrow(x[a], y[a] + _HEIGHT, x[b], y[b]) for a, b in edges)
    boxes = "".join(_box(x[name], y[name], label) for name, label in labels.items())
    head = '<marker id="layer-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    defs = f'<defs>{head}<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
    words = escape("; ".join(f"{a} imports {b}" for a, b in edges), quote=True)
    return (
        f'<div class="layer-diagram" tabindex="0"><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{words}">{defs}{arrows}{boxes}</svg></div>'
    )


def _arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    curve = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {y1 - 2:.0f}"
    return f'<path class="edge" d="{curve}" marker-end="url(#layer-arrow)"/>'


def _box(x: float, y: float, label: str) -> str:
    name, _, rest = label.partition(" — ")
    lines = [f'<text x="{x:.0f}" y="{y + (19 if rest else 27):.0f}" class="name">{escape(name)}</text>']
    if rest:
        lines.append(f'<text x="{x:.0f}" y="{y + 35:.0f}" class="rest">{escape(rest)}</text>')
    rectangle = f'<rect x="{x - _WIDTH / 2:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="5"/>'
    return rectangle + "".join(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("layer-diagram", LayerDiagram)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
