"""Checkpoints are complete: identical outputs after a round trip, and identical bits after a resume (trap 25)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.contract.conftest import calls
from torch import Tensor

from simulacra.core.eval_mode import eval_mode, inference_mode
from simulacra.core.family import Family
from simulacra.engine import checkpoint
from simulacra.engine.checkpoint import Checkpoint
from simulacra.engine.hardware import channels_last

METHODS = {"generate", "reconstruct", "posterior", "elbo", "translate"}  # each network of a family is used by one of these


def outputs(family: Family, case: Any, losses_of: Callable[..., Any]) -> dict[str, Tensor]:
    """Return the losses of a family and results of its methods, from fixed random streams."""
    batch = case.batch(3)
    with eval_mode(family):  # gradient penalties need gradients
        found = {name: loss.total.detach() for name, loss in losses_of(family, batch).items()}
    with inference_mode(family):
        named = calls(family, batch.images)
        for name in named.keys() & METHODS:
            torch.manual_seed(0)
            found[name] = named[name]()
    return found


def assert_same_bits(first: Checkpoint, second: Checkpoint) -> None:
    assert first.tensors.keys() == second.tensors.keys()
    for group, tensors in first.tensors.items():
        assert tensors.keys() == second.tensors[group].keys()
        for name, tensor in tensors.items():
            other = second.tensors[group][name]
            assert tensor.dtype == other.dtype, (group, name)
            assert torch.equal(tensor, other), (group, name)
    assert {**first.facts, "seconds": 0} == {**second.facts, "seconds": 0}


def test_a_checkpoint_round_trip_gives_identical_outputs(small_case: Any, tmp_path: Path, losses_of: Callable[..., Any]) -> None:
    trainer = small_case.trainer()
    for _ in range(2):
        trainer.play()
    stored = checkpoint.read(checkpoint.write(tmp_path, 2, trainer.state(), keep=2))
    for group, original in (("model", trainer.family), ("ema", trainer.evaluated)):
        if group in stored.tensors:
            twin = small_case.new(seed=9)
            channels_last(twin)  # as in training, since what is normalized over few pixels enlarges the rounding
            twin.load_state_dict(dict(stored.tensors[group]))
            expected, got = outputs(original, small_case, losses_of), outputs(twin, small_case, losses_of)
            assert expected.keys() == got.keys()
            for name, tensor in expected.items():
                torch.testing.assert_close(got[name], tensor, rtol=1e-5, atol=1e-6)


def test_five_steps_straight_equal_two_steps_a_resume_and_three_steps_bit_for_bit(small_case: Any, tmp_path: Path) -> None:
    settings = {"ema": 0.9, "clip": 1.0, "duration": "5"}
    straight = small_case.trainer(**settings)
    for _ in range(5):
        straight.play()
    killed = small_case.trainer(**settings)
    for _ in range(2):
        killed.play()
    stored = checkpoint.read(checkpoint.write(tmp_path, 2, killed.state(), keep=2))
    resumed = small_case.trainer(**settings)
    with torch.no_grad():  # nothing may be left of what the fresh trainer holds
        for tensor in (*resumed.family.state_dict().values(), *resumed.evaluated.state_dict().values()):
            tensor.fill_(7)
    torch.manual_seed(123)
    resumed.restore(stored)
    for _ in range(3):
        resumed.play()
    assert {"model", "ema", "optimizers"} <= straight.state().tensors.keys()
    assert len(straight.state().facts["window"]) > 0
    assert_same_bits(straight.state(), resumed.state())
    assert (resumed.step, resumed.done) == (5, 1)


@pytest.mark.long
def test_a_resume_in_the_middle_of_a_report_gives_the_same_report(small_case: Any) -> None:
    straight, killed, resumed = (small_case.trainer() for _ in range(3))
    for trainer, steps in ((straight, 2), (killed, 2)):
        for _ in range(steps):
            trainer.play()
        trainer.report()
    for _ in range(3):
        straight.play()
    killed.play()
    resumed.restore(killed.state())
    for _ in range(2):
        resumed.play()
    assert straight.report() == resumed.report()


@pytest.mark.long
def test_a_checkpoint_before_the_first_step_resumes_too(small_case: Any, tmp_path: Path) -> None:
    straight, fresh, resumed = small_case.trainer(), small_case.trainer(), small_case.trainer()
    resumed.restore(checkpoint.read(checkpoint.write(tmp_path, 0, fresh.state(), keep=2)))
    for trainer in (straight, resumed):
        for _ in range(2):
            trainer.play()
    assert_same_bits(straight.state(), resumed.state())


@pytest.mark.long
def test_a_state_is_not_changed_by_the_training_that_follows(small_case: Any, tmp_path: Path) -> None:
    trainer = small_case.trainer()
    trainer.play()
    stored = checkpoint.read(checkpoint.write(tmp_path, 1, trainer.state(), keep=2))
    again = small_case.trainer()
    again.restore(stored)
    again.play()
    assert_same_bits(stored, checkpoint.read(tmp_path / "step_00000001"))
    assert not torch.equal(
        torch.cat([tensor.flatten().float() for tensor in again.state().tensors["model"].values()]),
        torch.cat([tensor.flatten().float() for tensor in stored.tensors["model"].values()]),
    )


def test_a_damaged_newer_checkpoint_never_pushes_out_a_whole_one(tmp_path: Path) -> None:
    # step 9 is damaged, training went on from step 4: what it writes then is older than step 9 by name, and must stay
    for step in (4, 9):
        checkpoint.write(tmp_path, step, Checkpoint({"model": {"w": torch.ones(2)}}, {}), keep=1 + step)
    (tmp_path / "step_00000009" / "model.safetensors").write_bytes(b"damaged")
    assert checkpoint.read_newest(tmp_path)[0].facts["step"] == 4
    checkpoint.write(tmp_path, 6, Checkpoint({"model": {"w": torch.ones(2)}}, {}), keep=1)
    assert checkpoint.read_newest(tmp_path)[0].facts["step"] == 6
