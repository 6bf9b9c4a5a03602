"""Plots of curves that notebooks display: of a run, or of values that are given."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from simulacra.core.errors import UsageError, unknown
from simulacra.reports.curves import Plot, Series, plot, plots
from simulacra.reports.page import EmbeddedImage, page
from simulacra.runs.opened import OpenedRun


class Plots:
    """Plots, which notebooks display as drawings and terminals as a table of the last values."""

    def __init__(self, plots: Sequence[Plot], image: EmbeddedImage | None = None) -> None:
        self.plots, self.image = tuple(plots), image

    def __repr__(self) -> str:
        return "\n".join(line for item in self.plots for line in _lines(item)) or "no curves yet"

    def _repr_html_(self) -> str:
        """Return the plots as HTML in the colours of the page around it, and the image below or beside them."""
        return page("curves.html.jinja", {"plots": self.plots, "image": self.image})


def curves(opened: OpenedRun, *titles: str) -> Plots:
    """Return the curves of the training, as the report of a run draws them.

    titles: of the plots, such as "loss" or "diversity"; without any: all. Raises UsageError for one that the run does not have.
    """
    found = {item.title: item for item in plots(opened.run.reports.read())}
    for title in titles:
        if title not in found:
            raise unknown("plot", title, found)
    return Plots([found[title] for title in titles or found])


Values = Sequence[float] | Sequence[tuple[float, float]] | Tensor


def line_plot(series: Mapping[str, Values], y: str = "loss", x: str = "step") -> Plots:
    """Return a plot of one line for each name.

    series: values at 1, 2, 3 and so on, or pairs (x, y), or a tensor [n] or [n 2]; y, x: names of the axes. More than 300 values
    are averaged in groups. Raises UsageError where nothing is given.
    """
    drawn = plot(y, [Series(name, train=_pairs(name, values)) for name, values in series.items()], along=x)
    if drawn is None:
        raise UsageError("series has no values, expected a name and values for each line")
    return Plots([drawn])


def _pairs(name: str, values: Values) -> tuple[tuple[float, float], ...]:
    rows = values.tolist() if isinstance(values, Tensor) else list(values)
    pairs = [(index, row) if isinstance(row, int | float) else tuple(row) for index, row in enumerate(rows, 1)]
    if any(len(pair) != 2 for pair in pairs):
        raise UsageError(f"the values of {name!r} have more than one axis, expected numbers or pairs (x, y)")
    return tuple((float(across), float(up)) for across, up in pairs)


def _lines(item: Plot) -> list[str]:
    """Return the title of a plot, and the last values of each of its lines."""
    values = [
        (line.name, ", ".join(filter(None, (line.last_train, line.last_validation and f"validation {line.last_validation}"))))
        for line in item.lines
    ]
    return [f"{item.title} over {item.along}", *(f"  {name:<28}{value}" for name, value in values)]
