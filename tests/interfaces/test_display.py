"""What Python users see: progress by default, representations, pictures in notebooks."""

import json
import re
import sys
import time
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import simulacra
from simulacra.core.progress import SILENT
from simulacra.interfaces.display import default_progress
from simulacra.interfaces.display import notebook as notebook_module
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.display.default_progress import Patient, progress_of
from simulacra.interfaces.display.notebook import NotebookProgress, notebook_shell
from simulacra.interfaces.display.pictures import register_all
from simulacra.interfaces.result import Result
from simulacra.maps.faithfulness import Faithfulness
from simulacra.maps.latent_map import LatentMap
from simulacra.maps.projection import Projection
from simulacra.runs.image_to_image.restoration import Restoration


class Events:
    """A Progress that lists what it is asked to display."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def message(self, message):
        self.events.append(("message", message))

    def task(self, label, total, unit, start=0):
        events = self.events

        class Task:
            def __enter__(self):
                events.append(("begin", label, start))
                return self

            def advance(self, amount=1, **facts):
                events.append(("advance", label, amount, facts))

            def __exit__(self, *_):
                events.append(("end", label))

        return Task()


def test_short_tasks_are_not_displayed_and_messages_are():
    shown = Events()
    patient = Patient(shown, patience=60)
    patient.message("hello")
    with patient.task("short", 10, "images") as meter:
        meter.advance(10)
    assert shown.events == [("message", "hello")]


def test_long_tasks_are_displayed_from_what_is_done_after_those_around_them():
    shown = Events()
    patient = Patient(shown, patience=0)
    with patient.task("outer", 2, "metrics"), patient.task("inner", 10, "images", start=3) as meter:
        meter.advance(4, loss="0.5")
        meter.advance(1)
    begun = [("begin", "outer", 0), ("advance", "outer", 0, {}), ("begin", "inner", 7), ("advance", "inner", 0, {"loss": "0.5"})]
    assert shown.events == [*begun, ("advance", "inner", 1, {}), ("end", "inner"), ("end", "outer")]


def test_the_default_is_the_terminal_or_the_notebook_and_quiet_is_silent(monkeypatch):
    assert progress_of(SILENT, quiet=False) is SILENT
    assert progress_of(None, quiet=True) is SILENT
    assert isinstance(vars(progress_of(None, quiet=False))["_shown"], Console)
    monkeypatch.setattr(default_progress, "notebook_shell", object)
    assert isinstance(vars(progress_of(None, quiet=False))["_shown"], NotebookProgress)


SMALL: dict[str, Any] = {"duration": "2", "batch": 16, "network": "dense", "hidden": (8,), "snapshots": 1, "threads": 1}


def test_training_displays_its_progress_unless_it_is_quiet(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(default_progress.Patient.__init__, "__defaults__", (0.0,))
    model = simulacra.train("vae", out=tmp_path / "one", **SMALL)
    said = capsys.readouterr().err
    assert "training VAE on digits" in said
    assert "training: 2/2 steps" in said
    model.evaluate(samples=0, particles=2, metrics="reconstruction")
    assert "to measure: reconstruction" in capsys.readouterr().err
    quiet = simulacra.train("vae", out=tmp_path / "two", quiet=True, **SMALL)
    quiet.evaluate(samples=0, particles=2, metrics="reconstruction")
    quiet.sample(4)
    assert not capsys.readouterr().err


# --- notebooks


class Handle:
    """What IPython's display returns."""

    def __init__(self, shown: list[str], content: Any) -> None:
        self.shown, self.place = shown, len(shown)
        shown.append(content)

    def update(self, content: Any) -> None:
        self.shown[self.place] = content


@pytest.fixture
def notebook(monkeypatch):
    """A notebook as IPython presents it: its displays, each with its newest content, and its formatters."""
    formatters: dict[type, Any] = {}
    shell = SimpleNamespace(
        kernel=object(),
        display_formatter=SimpleNamespace(formatters={"text/html": SimpleNamespace(for_type=formatters.__setitem__)}),
    )
    displays: list[str] = []
    package, display = ModuleType("IPython"), ModuleType("IPython.display")
    vars(package).update(get_ipython=lambda: shell)
    vars(display).update(HTML=str, display=lambda content, display_id: Handle(displays, content))
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return SimpleNamespace(displays=displays, formatters=formatters, shell=shell)


def test_a_terminal_of_ipython_is_no_notebook(notebook):
    assert notebook_shell() is notebook.shell
    notebook.shell.kernel = None
    assert notebook_shell() is None


def test_a_notebook_updates_one_display_for_each_task(notebook, capsys):
    progress = NotebookProgress()
    with progress.task("<outer>", 2, "metrics") as outer:
        with progress.task("inner", None, "images") as inner:
            inner.advance(5)
        outer.advance(2, loss="0.5")
    progress.message("done")
    assert len(notebook.displays) == 2
    assert 'value="1.0000"' in notebook.displays[1]
    assert "&lt;outer&gt;: 2/2 metrics" in notebook.displays[1]
    assert "loss 0.5" in notebook.displays[1]
    assert "<progress" not in notebook.displays[0]
    assert capsys.readouterr().out == "done\n"


def test_a_notebook_displays_the_curves_of_a_training_below_its_bar(notebook, tmp_path):
    model = simulacra.train("vae", out=tmp_path / "run", log_every=1, **SMALL)
    bar, curves = notebook.displays
    assert "training: 2/2 steps" in bar
    assert 'aria-label="loss over training steps"' in curves
    assert "samples at step 2" in curves
    simulacra.resume(model.run.path, duration="4")
    assert "samples at step 4" in notebook.displays[3]
    simulacra.train("vae", out=tmp_path / "quiet", quiet=True, **SMALL)
    simulacra.train("vae", out=tmp_path / "given", progress=Events(), **SMALL)
    assert len(notebook.displays) == 4


def test_the_curves_are_updated_when_something_is_new_and_rarely_where_that_takes_long(notebook, trained_vae, monkeypatch):
    clock = SimpleNamespace(now=0.0, cost=0.02)

    def drawn(path):
        clock.now += clock.cost

    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(notebook_module, "_embedded", drawn)
    curves = notebook_module._LiveCurves(trained_vae.run)
    curves.update()
    notebook.displays[0] = "replaced"
    clock.now = 1.9
    curves.update()
    monkeypatch.setattr(curves, "_displayed", (0, ""))
    assert notebook.displays == ["replaced"]  # a drawing of 0.02 seconds every two seconds
    clock.now = 2.1
    curves.update()
    assert "<svg" in notebook.displays[0]
    notebook.displays[0] = "replaced"
    curves.update(at_once=True)
    assert notebook.displays == ["replaced"]  # nothing is new


def test_an_image_that_cannot_be_read_is_not_displayed(tmp_path):
    (tmp_path / "step_00000001.png").write_bytes(b"damaged")
    assert notebook_module._embedded(tmp_path / "step_00000001.png") is None


def test_a_notebook_displays_data_sets_with_images(notebook):
    register_all()
    html = notebook.formatters[simulacra.Dataset](simulacra.from_array(np.zeros((30, 8, 8), np.uint8)))
    assert "&lt;Dataset array: 25 training, 2 validation and 3 test images, 8 x 8 x 1&gt;" in html
    assert "data:image/png;base64," in html


def test_a_notebook_displays_restorations_and_maps_with_images(notebook):
    register_all()
    pictured = notebook.formatters
    images, draws = torch.rand(9, 1, 4, 4), torch.rand(9, 3, 1, 4, 4)
    known = torch.ones(9, 1, 4, 4, dtype=torch.bool)
    restored = Restoration(images, known, draws, images, images, images, images, level=0.9, factor=1.64, calibrated=False)
    assert repr(restored) == (
        "<Restoration: 9 images (1 x 4 x 4), 3 draws each; 90 % intervals: mean ± 1.64 x deviation, uncalibrated>"
    )
    assert "9 images" in pictured[Restoration](restored)
    assert "<img" in pictured[Restoration](restored)
    coordinates = np.arange(6.0).reshape(3, 2)
    found = LatentMap(
        np.arange(3),
        coordinates.astype(np.float32),
        None,
        ((Projection("pca", coordinates, {}), Faithfulness(1.0, 1.0, None)),),
        None,
    )
    assert repr(found).startswith("<LatentMap: 3 test images, 2 latents")
    for classes in (None, np.array([0, 2, 2])):
        assert "<img" in pictured[LatentMap](replace(found, classes=classes))


def test_a_notebook_displays_models_with_the_last_saved_images(trained_vae):
    html = trained_vae._repr_html_()
    assert "VAE at step" in html
    assert "data:image/png;base64," in html


def test_an_image_grid_is_displayed_as_png(trained_vae):
    png = simulacra.image_grid(trained_vae.sample(4), columns=2)._repr_png_()
    assert png is not None
    assert png.startswith(b"\x89PNG")


# --- representations


def test_data_sets_splits_and_runs_describe_themselves(trained_vae):
    data = trained_vae.dataset
    counts = f"{len(data.train):,} training, {len(data.validation)} validation and {len(data.test)} test images"
    assert repr(data) == f"<Dataset digits: {counts}, 8 x 8 x 1, 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9>"
    assert repr(data.test) == f"<Split test: {len(data.test)} images, 8 x 8 x 1, with labels>"
    assert repr(trained_vae.run) == f"<Run {trained_vae.run.path}>"
    pair = simulacra.unpaired(a=data, b=np.zeros((30, 8, 8), np.uint8))
    assert "domains a and b" in repr(pair)


def test_results_are_dictionaries_that_look_like_the_text_of_the_command(trained_vae):
    found = trained_vae.evaluate(samples=0, particles=2, metrics="reconstruction")
    assert json.loads(json.dumps(found)) == dict(found)
    assert re.search(r"mse +0\.\d+", repr(found))
    assert "<pre" in found._repr_html_()
    assert repr(Result({"count": 1}, "one image")) == "one image"
