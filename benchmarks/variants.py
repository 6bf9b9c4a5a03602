"""The variants of training that are measured: the usual loop, a bare loop with the engine's arithmetic, and the engine."""

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from peers.stopwatch import Stopwatch, random_images
from stock import stock_layers
from torch.utils.flop_counter import FlopCounterMode

from simulacra import families
from simulacra.core.batch import Batch
from simulacra.core.batch_source import BatchSource, UnpairedBatches
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.progress import SILENT
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset
from simulacra.data.load import from_array
from simulacra.engine import hardware, optimizers
from simulacra.engine.ema import EMA
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.engine.trackers import Tracking
from simulacra.runs.provenance import provenance
from simulacra.runs.run import Run
from simulacra.runs.settings import RunConfig, resolve
from simulacra.training.observer import RunObserver

USUAL, BARE_FLOAT32, BARE, ENGINE = "usual loop", "bare loop, float32", "bare loop", "engine"
COMPILED = "engine, --compile"
VARIANTS = (USUAL, BARE_FLOAT32, BARE, ENGINE)
LIKE_PEER = {"diffusion": {"skips": "all", "resampling": "conv"}}  # what makes a network the same as the peer's


@dataclass(frozen=True)
class Case:
    """What is trained: a family in a preset, on random images, or on two sets of them where it has two domains.

    like_peer: with the peer's network where that is another one. side, channels: of the images. precision: of the engine and
    the bare loop; empty takes the family's default.
    """

    name: str
    preset: str = ""
    like_peer: bool = False
    side: int = 28
    channels: int = 1
    precision: str = ""

    @property
    def overrides(self) -> dict[str, object]:
        given = {"preset": self.preset, "precision": self.precision}
        said = {name: value for name, value in given.items() if value}
        return {**said, **(LIKE_PEER.get(self.name, {}) if self.like_peer else {})}

    def images(self, count: int) -> np.ndarray:
        return random_images(count, self.side, self.channels)

    def config(self, **settings: object) -> RunConfig:
        return resolve({"family": self.name}, {**self.overrides, **settings})

    def family(self, data: Dataset) -> Family:
        domains = families.find(self.name).domains
        spec = replace(data.spec, domains=dict.fromkeys(domains, data.spec)) if domains else data.spec
        return self.config().new_family(spec)

    def batch_source(self, family: Family, data: Dataset, batch: int):
        if not family.domains:
            return Batches(data.train, batch, 0)
        return UnpairedBatches({domain: Batches(data.train, batch, seed) for seed, domain in enumerate(family.domains)})


def measure(variant: str, case: Case, watch: Stopwatch, images: int) -> dict[str, float]:
    """Measure one variant in this process."""
    data = from_array(case.images(images + 2), test_images=case.images(1), validation=1 / (images + 2), name="random")
    torch.manual_seed(0)
    family = case.family(data)
    if variant == USUAL:
        usual(family, data, watch)
    elif variant in (ENGINE, COMPILED):
        engine(family, data, watch, case, compiled=variant == COMPILED)
    else:
        precision = torch.float32 if variant == BARE_FLOAT32 else precision_of(case)
        bare(family, case.batch_source(family, data, watch.batch), watch, precision)
    return watch.result()


def precision_of(case: Case) -> torch.dtype:
    """Return the engine's arithmetic for a family on this machine."""
    return hardware.precision_of(case.config().train.precision, torch.device("cpu"))


def usual(family: Family, data: Dataset, watch: Stopwatch) -> None:
    """DataLoader, per-image conversion, stock layers, eager float32, an Adam a player; losses are read at every step.

    Each player's loss runs backward through all that made it, the other players' weights included, as loops commonly have it.
    """
    stock_layers()
    loader = torch.utils.data.DataLoader(Images(data), watch.batch, shuffle=True, drop_last=True)
    optimizers_of = {name: torch.optim.Adam(player.parameters(), 1e-3) for name, player in family.players().items()}
    while True:
        for images in loader:
            batch = Batch(images, domains=dict.fromkeys(family.domains, Batch(images)))
            for turn in moves(family):
                losses = turn.losses(batch)
                for left, (name, loss) in zip(reversed(range(len(losses))), losses.items(), strict=True):
                    optimizers_of[name].zero_grad()
                    torch.autograd.backward(loss.total, **inputs(family, name, losses), retain_graph=left > 0)
                for name, loss in losses.items():
                    optimizers_of[name].step()
                    loss.total.item()
            watch.tick()
            if watch.finished:
                return


def moves(family: Family) -> list[Turn]:
    """Return the turns of one step, each as often as it is played."""
    return [turn for turn in family.turns() for _ in range(turn.repeats)]


def inputs(family: Family, name: str, losses: Mapping[str, Loss]) -> dict[str, object]:
    """Several losses of one graph are differentiated along their own player's weights, in every loop."""
    return {"inputs": list(family.players()[name].parameters())} if len(losses) > 1 else {}


class Images(torch.utils.data.Dataset):
    """A data set as it is usually written: one image at a time becomes a float tensor."""

    def __init__(self, data: Dataset) -> None:
        self.split = data.train

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        return torch.from_numpy(np.asarray(self.split.images[index], np.float32).transpose(2, 0, 1) / 255)


def bare(family: Family, batch_source: BatchSource, watch: Stopwatch, precision: torch.dtype) -> None:
    """The recipe of the engine without the engine: bytes gathered at once, fast layout, autocast, fused Adam, averaging."""
    hardware.keep_memory()
    hardware.channels_last(family)
    settings = TrainConfig(batch=watch.batch)
    parameters = {name: optimizers.parameters(player) for name, player in family.players().items()}
    adams = {name: optimizers.Adam(own, settings) for name, own in parameters.items()}
    average = EMA(family, settings.ema)
    numbers = iter(range(10**9))
    while not watch.finished:
        for turn in moves(family):
            with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
                losses = turn.losses(batch_source.batch(next(numbers)))
            for left, (name, loss) in zip(reversed(range(len(losses))), losses.items(), strict=True):
                torch.autograd.backward(loss.total, inputs=parameters[name], retain_graph=left > 0)
            for name in losses:
                adams[name].step()
                adams[name].zero_grad()
        average.update()
        watch.tick()


def engine(family: Family, data: Dataset, watch: Stopwatch, case: Case, *, compiled: bool) -> None:
    """The trainer with its reports and averaging, as `simulacra train` runs it, and a checkpoint half-way through the timing.

    By default there is one every two minutes, so that its cost is overstated here.
    """
    hardware.keep_memory()
    half, duration = watch.warm + watch.steps // 2, watch.warm + watch.steps
    settings = {"batch": watch.batch, "duration": str(duration), "snapshots": 1, "checkpoint_every": str(half), "device": "cpu"}
    config = case.config(**settings, compile=compiled)
    trainer = Trainer(family, case.batch_source(family, data, watch.batch), config.train)
    with tempfile.TemporaryDirectory() as folder, SILENT.task("", None, "") as meter:
        run = Run.create(Path(folder) / "run", config, provenance(data, "a benchmark"))
        trainer.run(Clocked(RunObserver(run, data, SILENT, meter, Tracking([], SILENT)), watch))


class Clocked(Observer):
    """The observer of a training, without its validation and pictures, which peers do not have to make either."""

    def __init__(self, observer: RunObserver, watch: Stopwatch) -> None:
        self.observer, self.watch = observer, watch

    def on_step(self, trainer):
        self.observer.on_step(trainer)
        self.watch.tick()

    def on_report(self, trainer, record):
        self.observer.on_report(trainer, record)

    def on_snapshot(self, trainer):
        pass

    def on_checkpoint(self, trainer, state):
        self.observer.on_checkpoint(trainer, state)


def flops_per_image(case: Case, batch: int) -> float:
    """Return the floating-point operations of one step per image of a batch, counted over the stock layers.

    Counted are every turn's forward pass once, and a backward pass for each player along its own weights alone. NaN for games
    with a penalty on slopes, whose gradient within a loss PyTorch's counter does not follow.
    """
    stock_layers()
    data = from_array(case.images(batch), validation=0.0, name="random")
    family = case.family(data)
    images = data.train.head(batch)
    given = Batch(images.images, domains=dict.fromkeys(family.domains, images))
    total = 0
    if getattr(family.config, "penalty", 0) or getattr(family.config, "r1", 0):
        return math.nan
    for turn in moves(family):
        forward = flops(lambda turn=turn: turn.losses(given))
        total += forward
        for name in turn.losses(given):
            for other, player in family.players().items():
                player.requires_grad_(other == name)
            total += flops(lambda turn=turn, name=name: turn.losses(given)[name].total.backward()) - forward
            family.requires_grad_(True)
    return total / len(images)


def flops(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
