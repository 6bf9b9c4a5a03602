"""Checks that two processes make together; test_processes.py starts them, with torchrun or without."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load as parse_tensors
from tests.engine.toy_games import AlternatingGame, SimultaneousGame, UnpairedGame, batch_source_for
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.family import Family, Loss
from simulacra.core.launch import launched
from simulacra.engine import checkpoint, sharding
from simulacra.engine.distributed.process_group import joined
from simulacra.engine.distributed.processes import ALONE, Processes
from simulacra.engine.distributed.shared_work import serialized
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.runs.settings import RunConfig, resolve

STEPS = 4


class GameWithoutBatchNorm(AlternatingGame):
    """The alternating game without batch norm, whose statistics differ between processes."""

    def __init__(self):
        super().__init__()
        self.generator[1] = nn.Identity()


class GameWithOffset(SimultaneousGame):
    """One player with a parameter outside of all networks, which sharding does not split."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(2.0))

    def players(self):
        return {"all": self}

    def losses(self, batch):
        losses = super().losses(batch)
        total = sum(loss.total for loss in losses.values()) + (self.offset - batch.images.mean()).square()
        return {"all": Loss(total)}


class Part:
    """The part of one process of every batch of a batch source."""

    def __init__(self, batch_source, part):
        self.batch_source, self.part, self.size, self.per_epoch = batch_source, part, batch_source.size, batch_source.per_epoch

    def batch(self, i, device="cpu"):
        return self._part(self.batch_source.batch(i, device))

    def _part(self, batch):
        rank, count = self.part
        share = len(batch) // count
        domains = {name: self._part(domain) for name, domain in batch.domains.items()}
        return Batch(batch.images[rank * share : (rank + 1) * share], domains=domains)


def trainer(kind: Callable[[], Family], processes: Processes = ALONE, **settings: object) -> Trainer:
    torch.manual_seed(1)
    family = kind()
    values = {"duration": str(STEPS), "batch": 8, "precision": "float32", "device": "cpu", "ema": 0.9, "lr": 0.01, **settings}
    return Trainer(family, Part(batch_source_for(family), processes.part), TrainConfig.of(values), processes)


def played(training: Trainer) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the mean losses of the steps, and the weights with their average, whole."""
    for _ in range(STEPS):
        training.play()
    record = {name: value for name, value in training.report().items() if "/" in name}
    state = training.state()
    return record, {f"{group}/{name}": tensor for group in state.tensors for name, tensor in state.tensors[group].items()}


def assert_close(first: tuple[dict[str, float], dict[str, Tensor]], second: tuple[dict[str, float], dict[str, Tensor]]) -> None:
    """Float32 sums in another order, through a few steps of Adam whose first ones divide by small numbers."""
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        assert abs(value - second[0][name]) <= 1e-5 * max(1.0, abs(value)), (name, value, second[0][name])
    for name, tensor in first[1].items():
        assert torch.allclose(tensor, second[1][name], rtol=1e-3, atol=1e-4), name


def everywhere_equal(tensors: Iterable[Tensor]) -> bool:
    flat = torch.cat([tensor.double().reshape(-1) for tensor in tensors])
    low, high = flat.clone(), flat.clone()
    dist.all_reduce(low, dist.ReduceOp.MIN)
    dist.all_reduce(high, dist.ReduceOp.MAX)
    return torch.equal(low, high)


def losses_and_weights_follow_one_process(processes: Processes) -> None:
    for kind in (GameWithoutBatchNorm, SimultaneousGame, UnpairedGame):
        for alone, together in ((2, 1), (4, 4)):
            expected = played(trainer(kind, accumulate=alone))
            assert_close(expected, played(trainer(kind, processes, accumulate=together)))


def clipping_sees_the_whole_gradient(processes: Processes) -> None:
    for shard in (False, True):
        together = trainer(SimultaneousGame, processes, clip=0.01, shard=shard)
        assert_close(played(trainer(SimultaneousGame, accumulate=2, clip=0.01)), played(together))


def every_process_continues_with_its_own_buffers(processes: Processes) -> None:
    training = trainer(AlternatingGame, processes)  # whose batch norm has other statistics in each process
    played(training)
    state = training.state()
    written = processes.share(lambda: serialized(state.tensors["model"]))[0]  # by the first process
    resumed = trainer(AlternatingGame, processes)
    resumed.restore(replace(state, tensors={**state.tensors, "model": parse_tensors(written)}))
    assert not everywhere_equal(training.family.buffers())
    pairs = zip(training.family.buffers(), resumed.family.buffers(), strict=True)
    assert all(torch.equal(before, after) for before, after in pairs)


def a_parameter_outside_of_networks_gets_the_same_gradient_when_the_rest_is_split(processes: Processes) -> None:
    for accumulate in (2, 4):
        expected = gradient_of_offset(trainer(GameWithOffset, accumulate=accumulate))
        for shard in (False, True):
            found = gradient_of_offset(trainer(GameWithOffset, processes, accumulate=accumulate, shard=shard))
            assert torch.allclose(found, expected, rtol=1e-5), (accumulate, shard, found, expected)


def gradient_of_offset(training: Trainer) -> Tensor:
    """Return what the optimizer sees in the first step."""
    seen: list[Tensor] = []
    optimizer = training.optimizers["all"]
    step = optimizer.step

    def look_and_step() -> None:
        assert isinstance(training.family, GameWithOffset)
        assert training.family.offset.grad is not None
        seen.append(training.family.offset.grad.clone())
        step()

    optimizer.step = look_and_step  # type: ignore[method-assign]
    training.play()
    return seen[0]


def noise_differs_and_weights_agree(processes: Processes) -> None:
    training = trainer(AlternatingGame, processes)
    played(training)
    assert everywhere_equal(training.family.parameters())
    assert isinstance(training.family, AlternatingGame)
    assert not everywhere_equal(training.family.noises)


def split_players_follow_whole_ones_and_resume_as_either(processes: Processes) -> None:
    for kind in (GameWithoutBatchNorm, SimultaneousGame):
        split = trainer(kind, processes, shard=True)
        held = sum(sharding.local(parameter).numel() for parameter in split.family.parameters())
        everything = sum(parameter.numel() for parameter in split.family.parameters())
        assert held < 0.7 * everything, "every process must hold about half"
        assert_close(played(trainer(kind, accumulate=2)), played(split))
        state = split.state()
        for again in (trainer(kind, processes, shard=True, duration="8"), trainer(kind, processes, duration="8")):
            again.restore(state)
            assert_same(again.state(), state)
            again.play()
        assert everywhere_equal(again.family.parameters())


def assert_same(first: checkpoint.Checkpoint, second: checkpoint.Checkpoint) -> None:
    assert first.facts == second.facts
    for group, tensors in first.tensors.items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, second.tensors[group][name]), name


def a_loss_that_is_not_finite_is_reported_by_all(processes: Processes) -> None:
    values = torch.tensor([1.0 if processes.first else float("nan")])
    assert processes.mean(values).isnan().all()


def run(names: Iterable[str]) -> list[str]:
    """Make the checks of these names, together with the other process; return the names of those that passed."""
    torch.set_num_threads(1)
    passed = []
    with joined() as processes:
        assert processes.count == 2
        for name in names:
            globals()[name](processes)
            passed.append(name)
    return passed


def checked_and_trained(names: Iterable[str], folder: Path) -> list[str]:
    """Make the checks of these names and train, together with the other process; return the names of those that passed."""
    from simulacra.training.train import resume, train

    passed = run(names)
    train(settings("8"), folder / "straight")
    train(settings("4"), folder / "stopped")
    resume(folder / "stopped", "8")
    return passed


def settings(duration: str) -> RunConfig:
    """Return the settings of a VAE on the digits whose first steps do not depend on the duration."""
    model = {"network": "dense", "hidden": [16], "latent_dim": 2}
    steps: dict[str, object] = {"duration": duration, "batch": 16, "snapshots": 1, "log_every": 1, "warmup": 0.0}
    fixed: dict[str, object] = {"schedule": "constant", "precision": "float32", "device": "cpu", "threads": 1}
    return resolve({"family": "vae", "data": {"data": "digits"}, "model": model, "train": {**steps, **fixed}}, {})


if __name__ == "__main__":
    for name in run(sys.argv[1:]):
        if launched().first:
            sys.stdout.write(f"passed {name}\n")
