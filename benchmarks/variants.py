"""The variants of training that are measured: the usual loop, a bare loop with the engine's arithmetic, and the engine."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from peers.stopwatch import WARM, Stopwatch, random_images
from stock import stock_transposed

from simulacra import families
from simulacra.core.batch import Batch
from simulacra.core.family import Family
from simulacra.core.progress import SILENT
from simulacra.data.batches import Batches
from simulacra.data.dataset import Dataset
from simulacra.data.load import from_array
from simulacra.engine import hardware, optimizers
from simulacra.engine.average import Average
from simulacra.engine.settings import TrainConfig
from simulacra.engine.tracking import Tracking
from simulacra.engine.trainer import Trainer
from simulacra.networks import same
from simulacra.runs.provenance import provenance
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve
from simulacra.tasks.observe import RunObserver

USUAL, BARE_FLOAT32, BARE, ENGINE = "usual loop", "bare loop, float32", "bare loop", "engine"
VARIANTS = (USUAL, BARE_FLOAT32, BARE, ENGINE)
DEFAULT = hardware.precision_of("auto", torch.device("cpu"))  # the engine's arithmetic on this machine


def measure(variant: str, name: str, batch: int, steps: int, images: int) -> dict[str, float]:
    """Measure one variant in this process."""
    watch = Stopwatch(batch, steps)
    data = from_array(random_images(images + 2), test_images=random_images(1), validation=1 / (images + 2), name="random")
    torch.manual_seed(0)
    family_class = families.find(name)
    family: Family = family_class(family_class.Config(), data.spec)
    if variant == USUAL:
        usual(family, data, watch)
    elif variant == ENGINE:
        engine(family, data, watch, name)
    else:
        bare(family, data, watch, torch.float32 if variant == BARE_FLOAT32 else DEFAULT)
    return watch.result()


def usual(family: Family, data: Dataset, watch: Stopwatch) -> None:
    """DataLoader, per-image conversion, stock layers, eager float32, Adam; the loss is read at every step."""
    same.conv_transpose2d = stock_transposed
    loader = torch.utils.data.DataLoader(Images(data), watch.batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(family.parameters(), 1e-3)
    while True:
        for images in loader:
            (loss,) = family.turns()[0].losses(Batch(images)).values()
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            loss.total.item()
            watch.tick()
            if watch.finished:
                return


class Images(torch.utils.data.Dataset):
    """A data set as it is usually written: one image at a time becomes a float tensor."""

    def __init__(self, data: Dataset) -> None:
        self.split = data.train

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        return torch.from_numpy(np.asarray(self.split.images[index], np.float32).transpose(2, 0, 1) / 255)


def bare(family: Family, data: Dataset, watch: Stopwatch, precision: torch.dtype) -> None:
    """The recipe of the engine without the engine: bytes gathered at once, fast layout, autocast, fused Adam, averaging."""
    hardware.keep_memory()
    hardware.channels_last(family)
    settings = TrainConfig(batch=watch.batch)
    (player,) = family.players().values()
    optimizer, average = optimizers.Adam(optimizers.parameters(player), settings), Average(family, settings.ema)
    feed = Batches(data.train, watch.batch, 0)
    (turn,) = family.turns()
    while not watch.finished:
        with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
            (loss,) = turn.losses(feed.batch(watch.done)).values()
        loss.total.backward()
        optimizer.step()
        optimizer.forget_gradients()
        average.update()
        watch.tick()


def engine(family: Family, data: Dataset, watch: Stopwatch, name: str) -> None:
    """The trainer with its reports and averaging, as `simulacra train` runs it, and a checkpoint half-way through the timing.

    By default there is one every two minutes, so that its cost is overstated here.
    """
    hardware.keep_memory()
    half, duration = WARM + watch.steps // 2, WARM + watch.steps
    settings = {"batch": watch.batch, "duration": str(duration), "snapshots": 1, "checkpoint_every": str(half), "device": "cpu"}
    config = resolve({"family": name}, settings)
    trainer = Trainer(family, Batches(data.train, watch.batch, 0), config.train)
    with tempfile.TemporaryDirectory() as folder, SILENT.work("", None, "") as meter:
        run = Run.create(Path(folder) / "run", config, provenance(data, "a benchmark"))
        trainer.run(Clocked(RunObserver(run, data, SILENT, meter, Tracking([], SILENT)), watch))


class Clocked:
    """The observer of a training, without its validation and pictures, which peers do not have to make either."""

    def __init__(self, observer: RunObserver, watch: Stopwatch) -> None:
        self.observer, self.watch = observer, watch

    def stepped(self, trainer):
        self.observer.stepped(trainer)
        self.watch.tick()

    def reported(self, trainer, record):
        self.observer.reported(trainer, record)

    def due(self, trainer):
        pass

    def checkpoint(self, trainer, state):
        self.observer.checkpoint(trainer, state)


def flops_per_image(name: str, batch: int) -> float:
    """Return the floating-point operations of forward and backward, counted once over the stock layers."""
    from torch.utils.flop_counter import FlopCounterMode

    same.conv_transpose2d = stock_transposed
    data = from_array(random_images(batch), validation=0.0, name="random")
    family_class = families.find(name)
    family: Family = family_class(family_class.Config(), data.spec)
    with FlopCounterMode(display=False) as counter:
        (loss,) = family.turns()[0].losses(data.train.head(batch)).values()
        loss.total.backward()
    return counter.get_total_flops() / len(data.train.head(batch))
