"""Settings of the training loop."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.engine import trackers
from simulacra.engine.duration import FORMS, Duration

OF_THE_MACHINE = ("device", "threads", "compile", "shard")
"""Settings that say where and how a training is computed, not what: a resumed run may change them."""


@dataclass(frozen=True)
class TrainConfig(Config):
    """How a family is trained; a family may state defaults of its own."""

    duration: str = option("10ep", f"how long to train, {FORMS}", flag="for")
    batch: int = option(128, "images per move of a player", low=1)
    accumulate: int = option(1, "pieces in which a batch is computed, one after the other or by several processes", low=1)
    seed: int = option(0, "seed of everything that is drawn", low=0)
    optimizer: Literal["adam", "adamw"] = option("adam", "optimizer of every player")
    lr: float = option(1e-3, "peak learning rate", low=0)
    beta1: float = option(0.9, "Adam's decay of the mean gradient", low=0, high=1)
    beta2: float = option(0.999, "Adam's decay of the squared gradient", low=0, high=1)
    weight_decay: float = option(0.0, "weight decay (decoupled with adamw)", low=0)
    schedule: Literal["constant", "cosine", "linear"] = option(
        "cosine", "learning rate after the warm-up: constant, cosine to zero, or linear to zero in the second half"
    )
    warmup: float = option(0.02, "share of the training in which the learning rate rises from zero", low=0, high=1)
    clip: float = option(0.0, "largest gradient norm of a player; 0 leaves gradients as they are", low=0)
    ema: float = option(0.999, "decay of the weight average that is evaluated; 0 evaluates the last weights", low=0, high=1)
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "arithmetic of the networks; auto: bfloat16 where the hardware has it. Losses are float32 always"
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to train")
    threads: int = option(0, "CPU threads of each process; 0 takes all, or what OMP_NUM_THREADS says", low=0)
    compile: bool = option(False, "compile the networks: pays for large ones, after a slow start; on CPUs needs a C++ compiler")
    shard: bool = option(False, "torchrun: split each player over the processes, for models that outgrow one device")
    snapshots: int = option(10, "how often to save pictures and validate during training", low=1)
    checkpoint_every: str = option("2min", "time or amount between checkpoints")
    keep: int = option(2, "checkpoints to keep", low=1)
    log_every: int = option(50, "steps that one line of the reports averages", low=1)
    track: str = option("", f"who else receives reports and pictures: {', '.join(trackers.names())}, several with commas")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        Duration.parse(self.duration)
        Duration.parse(self.checkpoint_every)
        trackers.chosen(self.track)
        if self.batch % self.accumulate:
            raise UsageError(f"batch is {self.batch}, which accumulate = {self.accumulate} does not divide")
        if max(self.ema, self.beta1, self.beta2) >= 1:
            raise UsageError("ema, beta1 and beta2 are decays and must be below 1")
