"""The progress bar: it fits any width, and the first fact is never cut off."""

import io
from typing import Any

import pytest
import rich.console

from simulacra.interfaces.display import console

FACTS = "loss 123.4, validation 125.1, diversity 0.45, rate_nats 20.1, images 4,000/s"


@pytest.mark.parametrize("width", [50, 60, 80, 100, 110, 160])
def test_a_bar_fits_the_terminal_and_shows_whole_facts_beginning_with_the_loss(width, monkeypatch):
    shown, terminal = io.StringIO(), rich.console.Console

    def of_width(**settings: Any) -> rich.console.Console:
        return terminal(file=shown, width=width, force_terminal=True, color_system=None)

    monkeypatch.setattr(rich.console, "Console", of_width)
    bars = console._bars()
    bars.add_task("training", total=1_200_000, completed=240_000, unit="steps", facts=FACTS)
    bars.console.print(bars.get_renderable())
    (line,) = shown.getvalue().splitlines()
    assert len(line) <= width
    facts = line[line.index("loss 123.4") :].strip()
    assert FACTS.startswith(facts)
    assert FACTS[len(facts) :].startswith(", ") or facts == FACTS


def test_facts_that_do_not_fit_are_dropped_from_the_end():
    assert console.fitting_facts(FACTS, 200) == FACTS
    assert console.fitting_facts(FACTS, 44) == "loss 123.4, validation 125.1, diversity 0.45"
    assert console.fitting_facts(FACTS, 43) == "loss 123.4, validation 125.1"
    assert console.fitting_facts(FACTS, 10) == "loss 123.4"
    assert console.fitting_facts("", 10) == ""
