"""The training loop plays every kind of game: alternating, repeated, simultaneous, unpaired."""

import copy

import pytest
import torch
from tests.engine.toy_games import AlternatingGame, SimultaneousGame, UnpairedGame, batch_source_for

from simulacra.core.errors import NonFiniteError, UsageError
from simulacra.core.family import Loss, Turn
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.settings import TrainConfig

SETTINGS = {"device": "cpu", "precision": "float32", "batch": 8, "lr": 0.01, "log_every": 4}


def trainer_of(kind, seed=0, **settings):
    torch.manual_seed(123)
    family = kind()
    config = TrainConfig(**{**SETTINGS, "duration": "12", "seed": seed, **settings})
    return Trainer(family, batch_source_for(family), config)


def bits(trainer):
    stored = trainer.state()
    return {f"{group}/{name}": tensor.clone() for group, tensors in stored.tensors.items() for name, tensor in tensors.items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


class RecordingObserver(Observer):
    """An observer that stores what it receives."""

    def __init__(self):
        self.records, self.states, self.snapshots = [], [], 0

    def on_report(self, trainer, record):
        self.records.append(dict(record))

    def on_snapshot(self, trainer):
        self.snapshots += 1

    def on_checkpoint(self, trainer, state):
        self.states.append(copy.deepcopy(state))


@pytest.mark.parametrize("kind", [AlternatingGame, SimultaneousGame, UnpairedGame])
def test_each_player_receives_the_gradient_of_its_own_loss_along_its_own_parameters(kind):
    trainer = trainer_of(kind)
    for index, turn in enumerate(trainer.turns):
        batch = trainer.batch_source.batch(0)
        trainer._compute_gradients(turn, batch, (index, 0, 0))
        seen = {name: [p.grad.clone() for p in ps if p.grad is not None] for name, ps in trainer.parameters.items()}
        from simulacra.core.randomness import reseed

        reseed(trainer.settings.seed, "step", 0, index, 0, 0)
        losses = turn.losses(batch)
        for player, parameters in trainer.parameters.items():
            if player not in losses:
                assert seen[player] == [], f"{player} received a gradient in a turn that is not its own"
                continue
            own = torch.autograd.grad(losses[player].total, parameters, retain_graph=True)
            for mine, expected in zip(seen[player], own, strict=True):
                torch.testing.assert_close(mine, expected)
        trainer.family.zero_grad(set_to_none=True)


@pytest.mark.parametrize("kind", [AlternatingGame, SimultaneousGame, UnpairedGame])
def test_a_turn_updates_only_the_players_of_its_losses(kind):
    trainer = trainer_of(kind)
    trainer.play()  # a first step, so that no learning rate is zero and momenta exist
    for index, turn in enumerate(trainer.turns):
        before = {name: [p.detach().clone() for p in ps] for name, ps in trainer.parameters.items()}
        moved = set(trainer._play_turn(turn, trainer.batch_source.batch(7), (index, 0)))
        for name, parameters in trainer.parameters.items():
            same = all(torch.equal(old, new) for old, new in zip(before[name], parameters, strict=True))
            assert same != (name in moved)


def test_repeated_turns_use_new_batches_and_new_noise():
    trainer = trainer_of(AlternatingGame)
    trainer.play()
    trainer.play()
    assert trainer.batch_source.asked == list(range(8))  # four moves a step, no batch twice
    noises = trainer.family.noises
    assert len(noises) == 8
    assert not any(torch.equal(noises[i], noises[j]) for i in range(8) for j in range(i))


def test_simultaneous_players_are_updated_from_the_same_weights():
    trainer = trainer_of(SimultaneousGame)
    torch.manual_seed(123)
    reference = SimultaneousGame()
    batch = trainer.batch_source.batch(0)
    from simulacra.core.randomness import reseed

    reseed(0, "step", 0, 0, 0, 0)
    losses = reference.losses(batch)
    expected = {
        name: torch.autograd.grad(losses[name].total, list(player.parameters()), retain_graph=True)
        for name, player in reference.players().items()
    }
    trainer._compute_gradients(trainer.turns[0], batch, (0, 0, 0))
    for name, gradients in expected.items():
        for mine, wanted in zip(trainer.parameters[name], gradients, strict=True):
            torch.testing.assert_close(mine.grad, wanted)


def test_unpaired_domains_draw_their_batches_independently():
    trainer = trainer_of(UnpairedGame)
    batch = trainer.batch_source.batch(3)
    assert set(batch.domains) == {"a", "b"}
    assert not torch.equal(batch["a"].images, batch["b"].images)
    assert torch.equal(batch.images, batch["a"].images)


@pytest.mark.long
@pytest.mark.parametrize("kind", [AlternatingGame, SimultaneousGame, UnpairedGame])
@pytest.mark.parametrize("stop", [1, 5, 7])
def test_a_resumed_game_gives_the_same_bits(kind, stop):
    straight = trainer_of(kind)
    watched = RecordingObserver()
    straight.run(watched)
    first = trainer_of(kind)
    before = RecordingObserver()
    first.run(before, stopped=lambda: first.step >= stop)
    second = trainer_of(kind)
    second.restore(before.states[-1])
    after = RecordingObserver()
    second.run(after)
    assert_same_bits(bits(straight), bits(second))
    assert before.records + after.records == watched.records


@pytest.mark.parametrize("kind", [AlternatingGame, SimultaneousGame, UnpairedGame])
def test_the_seed_decides_everything(kind):
    one, same, other = trainer_of(kind), trainer_of(kind), trainer_of(kind, seed=1)
    for trainer in (one, same, other):
        for _ in range(3):
            trainer.play()
    assert_same_bits(bits(one), bits(same))
    if kind is not UnpairedGame:  # which uses no random numbers
        assert any(not torch.equal(bits(one)[name], bits(other)[name]) for name in bits(one))


def test_micro_batches_give_the_gradient_of_the_whole_batch():
    whole, accumulated = trainer_of(UnpairedGame), trainer_of(UnpairedGame, accumulate=4)
    whole.play()
    accumulated.play()
    for name, tensor in bits(whole).items():
        torch.testing.assert_close(bits(accumulated)[name], tensor, rtol=1e-4, atol=1e-6)


def test_the_gradient_norm_of_each_player_is_clipped_apart():
    trainer = trainer_of(SimultaneousGame, clip=1e-3)
    norms = {}
    for name, optimizer in trainer.optimizers.items():
        parameters = trainer.parameters[name]

        def step(name=name, parameters=parameters):
            norms[name] = torch.stack([p.grad.norm() for p in parameters]).norm().item()

        optimizer.step = step
    trainer.play()
    assert all(norm == pytest.approx(1e-3, rel=1e-3) for norm in norms.values())


def test_a_loss_that_is_not_finite_stops_the_run_naming_player_and_step():
    class Burst(SimultaneousGame):
        def __init__(self, config=None):
            super().__init__()
            self.played = 0

        def turns(self):
            return (Turn(self.burst),)

        def burst(self, batch):
            self.played += 1
            losses = self.losses(batch)
            broken = losses["decoder"].total * (float("nan") if self.played == 6 else 1.0)
            return {**losses, "decoder": Loss(broken)}

    trainer, observer = trainer_of(Burst), RecordingObserver()
    with pytest.raises(NonFiniteError, match="player 'decoder' became nan at step 6"):
        trainer.run(observer)
    assert observer.states == []  # what is broken is never stored


def test_the_first_module_with_a_broken_output_is_named():
    trainer = trainer_of(SimultaneousGame)
    with torch.no_grad():
        trainer.family.decoder[0].weight[3, 1] = float("inf")
    with pytest.raises(
        NonFiniteError, match=r"player 'encoder' .* at step 1 \(first non-finite output: module 'decoder.0 \(Linear\)'"
    ):
        trainer.run(RecordingObserver())


def test_players_that_share_parameters_are_refused():
    class Greedy(SimultaneousGame):
        def players(self):
            return {**super().players(), "all": self}

    with pytest.raises(UsageError, match="disjoint"):
        trainer_of(Greedy)


def test_snapshots_are_evenly_spread_and_begin_before_the_first_step():
    trainer, observer = trainer_of(SimultaneousGame, snapshots=4), RecordingObserver()
    trainer.run(observer)
    assert observer.snapshots == 5
