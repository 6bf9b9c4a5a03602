"""A conditional family that is added as one file: it is listed, has help, trains, and samples by label."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.contract.conftest import Case, calls

from simulacra import families
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import model_condition
from simulacra.interfaces.cli import main

NAME = "label_vae"


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(Path(__file__).parent / "plugins")])


def test_it_is_listed_with_its_capabilities(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    assert {"Samples", "LatentSpace", "Reconstructs", "HasPosterior"} == set(
        json.loads(capsys.readouterr().out)[NAME]["capabilities"]
    )


def test_its_settings_are_flags_of_train(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", NAME, "--help"])
    assert end.value.code == 0
    assert "--latent-dim" in capsys.readouterr().out


def test_it_trains_and_samples_by_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", "digits", "--for", "5", "--batch", "16", "--threads", "1", "--snapshots", "1", "--out", "run"]
    assert main(["train", NAME, *words]) == 0
    images = {}
    for label in ("3", "7"):
        assert main(["sample", "run", "--count", "4", "--label", label, "--out", f"{label}.npz"]) == 0
        images[label] = np.load(f"{label}.npz", allow_pickle=False)["images"]
    assert not np.array_equal(images["3"], images["7"])
    assert main(["sample", "run", "--count", "4", "--label", "ten"]) == UsageError.exit_code


def test_its_methods_depend_on_the_label_and_metrics_pass_on_those_of_the_images() -> None:
    case = Case(families.find(NAME), NAME)
    family: Any = case.new().eval()
    batch = case.batch(3)
    given = model_condition(family, batch)
    assert torch.equal(given.labels, batch.labels)  # type: ignore[arg-type]
    other = Condition((batch.labels + 1) % 3)  # type: ignore[arg-type, operator]
    with inference_mode(family):
        for name, call in calls(family, batch.images, given).items():
            assert not torch.equal(call(), calls(family, batch.images, other)[name]()), name
