"""Compiled networks give the results of networks that are not compiled, with the same random numbers."""

import pytest
import torch
from tests.engine.toy_games import AlternatingGame, SimultaneousGame, batch_source_for

from simulacra.core.errors import UsageError
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig


def trainer(kind: type[AlternatingGame] | type[SimultaneousGame], **settings: object) -> Trainer:
    torch.manual_seed(3)
    family = kind()
    values = {"duration": "4", "batch": 8, "precision": "float32", "device": "cpu", **settings}
    return Trainer(family, batch_source_for(family), TrainConfig.of(values))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler uses what its own library deprecates
@pytest.mark.parametrize("kind", [AlternatingGame, SimultaneousGame])
def test_a_compiled_training_follows_one_that_is_not(kind: type[AlternatingGame] | type[SimultaneousGame]) -> None:
    plain, compiled = trainer(kind), trainer(kind, compile=True)
    for _ in range(4):
        plain.play()
        compiled.play()
    expected, got = plain.report(), compiled.report()
    assert {name: got[name] for name in got if "/" in name} == pytest.approx(
        {name: value for name, value in expected.items() if "/" in name}, rel=1e-4
    )
    assert plain.state().tensors["model"].keys() == compiled.state().tensors["model"].keys()


def test_compiling_without_a_compiler_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match=r"C\+\+ compiler"):
        trainer(SimultaneousGame, compile=True)
