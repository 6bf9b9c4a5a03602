"""Weights that are infinite or NaN: a named error wherever a model is used."""

from typing import Any

import pytest
import torch

import simulacra
from simulacra.core.errors import NonFiniteError
from simulacra.interfaces.cli import main
from simulacra.metrics.metric import MetricResults
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.run import Run


def break_weights(family: torch.nn.Module, value: float) -> None:
    first = next(name for name, _ in family.named_parameters() if name.startswith("decoder"))
    with torch.no_grad():
        family.get_parameter(first).fill_(value)


def test_weights_that_are_not_finite_are_named_in_python(trained_vae: simulacra.Model) -> None:
    model = simulacra.open(trained_vae.run.path)
    images = model.dataset.test.head(2).images
    break_weights(model.model, float("nan"))
    for use in (lambda: model.sample(2), lambda: model.evaluate(samples=0), lambda: model.reconstruct(images)):
        with pytest.raises(NonFiniteError, match="infinite or NaN"):
            use()


def test_every_command_refuses_them(
    trained_vae: simulacra.Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Run.load_family

    def load_broken(run: Run) -> Any:
        found = load(run)
        break_weights(found[0], float("inf"))
        return found

    monkeypatch.setattr(Run, "load_family", load_broken)
    for words in (["sample"], ["evaluate"], ["traverse"], ["encode"], ["detect", "calibrate"]):
        assert main([*words, str(trained_vae.run.path)]) == 1
        assert "the weights of this VAE are infinite or NaN, first in decoder." in capsys.readouterr().err


def test_a_number_that_is_not_finite_is_not_measured() -> None:
    found = MetricResults({"good": Measurement(1.0, 0.1, 10, {}), "bad": Measurement(float("nan"), None, 10, {})}).finite()
    assert list(found.measurements) == ["good"]
    assert found.missing == {"bad": "its value is nan: outputs of the model are too large"}
