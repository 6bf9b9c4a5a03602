"""Plots of curves: of the reports of a run, and of values that are given."""

import re
from xml.etree import ElementTree

import pytest
import torch

import simulacra
from simulacra.core.errors import UsageError
from simulacra.reports.curves import losses_plot


def drawings(html):
    """Return the SVG elements of plots, which are well-formed."""
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg viewBox.*?</svg>\n</svg>", html, re.DOTALL)]


def test_the_curves_of_a_run_are_those_of_its_report(trained_vae):
    every = trained_vae.curves()
    assert [plot.title for plot in every.plots] == ["nats per image", "loss", "diversity", "learning rate", "active latent units"]
    (drawn,) = drawings(trained_vae.curves("loss")._repr_html_())
    assert drawn.get("aria-label") == "loss over training steps"
    texts = [element.text for element in drawn.iter("text")]
    assert "training steps" in texts
    assert len(drawings(every._repr_html_())) == 5


def test_an_unknown_plot_is_refused_with_the_nearest(trained_vae):
    with pytest.raises(UsageError, match="unknown plot 'los': did you mean 'loss'"):
        trained_vae.curves("los")


def test_plots_in_a_terminal_are_the_last_values():
    shown = simulacra.line_plot({"first": [3.0, 2.0, 1.5], "second": torch.tensor([[1.0, 4.0], [9.0, 2.5]])}, y="nats", x="K")
    assert repr(shown).split() == ["nats", "over", "K", "first", "1.5", "second", "2.5"]


def test_a_line_is_drawn_through_the_given_points():
    (plot,) = simulacra.line_plot({"line": [(0, 0.0), (10, 5.0)]}, y="height", x="width").plots
    assert (plot.title, plot.along) == ("height", "width")
    assert re.fullmatch(r"M58 \S+ L446 \S+", plot.lines[0].train)


def test_values_without_points_or_with_more_axes_are_refused():
    with pytest.raises(UsageError, match="series has no values"):
        simulacra.line_plot({"empty": []})
    with pytest.raises(UsageError, match="'cube' have more than one axis"):
        simulacra.line_plot({"cube": torch.zeros(2, 3)})


def test_the_plot_of_losses_has_a_line_for_every_player():
    records = [{"kind": "train", "step": step, "d/loss": 1.0, "g/loss": 2.0, "d/accuracy": 0.5} for step in (1, 2)]
    plot = losses_plot(records)
    assert plot is not None
    assert [line.name for line in plot.lines] == ["d: loss", "g: loss"]
    assert losses_plot([]) is None
