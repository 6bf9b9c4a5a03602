"""Players, losses, gradients and turns of every family (traps 5, 6 and 9)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from simulacra.core.errors import NonFiniteError


def test_players_partition_the_trainable_parameters(case: Any) -> None:
    family = case.new()
    owned = [id(item) for player in family.players().values() for item in player.parameters() if item.requires_grad]
    assert len(owned) == len(set(owned)) > 0
    assert set(owned) == {id(item) for item in family.parameters() if item.requires_grad}


def test_every_turn_gives_finite_float32_scalars_to_players_that_exist(case: Any, losses_of: Callable[..., Any]) -> None:
    family = case.new()
    losses = losses_of(family, case.batch())
    assert {name.split("/")[1] for name in losses} == set(family.players())  # and every player moves in some turn
    for loss in losses.values():
        assert loss.total.requires_grad
        for value in (loss.total, *loss.parts.values()):
            assert value.shape == ()
            assert value.dtype == torch.float32
            assert torch.isfinite(value)


def test_losses_stay_finite_float32_when_networks_compute_in_bfloat16(case: Any, losses_of: Callable[..., Any]) -> None:
    family, batch = case.new(), case.batch()
    exact = losses_of(family, batch)
    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(family, batch)
    for name, loss in losses.items():
        for value in (loss.total, *loss.parts.values()):
            assert value.dtype == torch.float32
            assert torch.isfinite(value)
        # bfloat16 has 8 bits: 0.4 % a rounding; a tenth leaves room for a few layers, and none for a wrong sum
        assert loss.total.item() == pytest.approx(exact[name].total.item(), rel=0.1, abs=0.1)


def test_each_player_receives_the_gradient_of_its_own_loss_and_the_others_none(
    small_case: Any, record: Callable[..., Any]
) -> None:
    recorder = record(small_case.trainer(clip=0.0))
    for _ in range(2):
        recorder.trainer.play()
    for turn in recorder.turns:
        for player, gradients in turn.found.items():
            expected = turn.expected.get(player, [None] * len(gradients))
            for got, wanted in zip(gradients, expected, strict=True):
                if got is None or wanted is None:
                    assert got is wanted
                else:
                    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.long
def test_a_turn_changes_the_weights_of_its_own_players_only(small_case: Any, record: Callable[..., Any]) -> None:
    recorder = record(small_case.trainer())
    recorder.trainer.play()
    states = [turn.before for turn in recorder.turns] + [recorder.weights()]
    for turn, (before, after) in zip(recorder.turns, pairwise(states), strict=True):
        for player in before:
            same = all(torch.equal(old, new) for old, new in zip(before[player], after[player], strict=True))
            assert same == (player not in turn.expected)


def test_no_gradient_remains_after_a_step(small_case: Any) -> None:
    trainer = small_case.trainer()
    trainer.play()
    assert all(parameter.grad is None for parameter in trainer.family.parameters())


@pytest.mark.long
def test_every_turn_gets_a_new_batch_and_new_noise(small_case: Any, record: Callable[..., Any]) -> None:
    recorder = record(small_case.trainer())
    steps = 3
    for _ in range(steps):
        recorder.trainer.play()
    assert len(recorder.turns) == steps * sum(one.repeats for one in recorder.trainer.turns)
    batches = {turn.batch.images.numpy().tobytes() for turn in recorder.turns}
    states = {turn.random_state.numpy().tobytes() for turn in recorder.turns}
    assert len(batches) == len(states) == len(recorder.turns)


def test_a_batch_holds_every_domain(small_case: Any, record: Callable[..., Any]) -> None:
    recorder = record(small_case.trainer())
    recorder.trainer.play()
    for turn in recorder.turns:
        assert tuple(turn.batch.domains) == small_case.kind.domains
        images = [turn.batch[name].images for name in small_case.kind.domains]
        assert len({tensor.numpy().tobytes() for tensor in images}) == len(images)
        if images:
            assert torch.equal(images[0], turn.batch.images)


@pytest.mark.long
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(small_case: Any) -> None:
    states = []
    for seed, disturbance in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(disturbance)  # what was drawn before must not matter
        trainer = small_case.trainer(seed=seed)
        for _ in range(2):
            trainer.play()
        states.append(trainer.family.state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.long
def test_thirty_steps_on_one_batch_lower_the_loss(solo_case: Any, losses_of: Callable[..., Any]) -> None:
    trainer = solo_case.trainer(duration="30", lr=2e-2)  # small networks need larger steps
    trainer.batch_source = solo_case.batch_source(4, fixed=True)
    batch = trainer.batch_source.batch(0)

    def loss() -> float:
        with torch.no_grad():
            draws = [losses_of(trainer.family, batch, seed)["0/" + next(iter(trainer.players))].total.item() for seed in range(8)]
        return sum(draws) / len(draws)  # the same eight draws before and after

    before = loss()
    for _ in range(30):
        trainer.play()
    assert loss() < before - 0.02 * abs(before)
    assert trainer.done == 1


def test_a_loss_that_is_not_finite_stops_the_training_and_names_player_and_step(small_case: Any) -> None:
    trainer = small_case.trainer()
    trainer.play()
    with torch.no_grad():
        for parameter in trainer.family.parameters():
            parameter.fill_(torch.nan)
    names = "|".join(trainer.players)
    with pytest.raises(NonFiniteError, match=f"of player '({names})' became nan at step 2"):
        trainer.play()


def test_the_model_trains_in_training_mode_and_is_evaluated_in_evaluation_mode(small_case: Any) -> None:
    trainer = small_case.trainer(ema=0.9)
    trainer.family.eval()
    trainer.play()
    modes = [module.training for module in trainer.family.modules() if not isinstance(module, nn.Identity)]
    assert all(modes)
    assert not any(module.training for module in trainer.evaluated.modules())
