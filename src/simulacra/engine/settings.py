"""Settings of the training loop."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.engine import trackers
from simulacra.engine.duration import FORMS, Duration

OF_THE_MACHINE = ("device", "threads", "compile", "shard")
"""Settings of where and how a training is computed, which do not define the model: a resumed run may change them."""
OF_THE_REST = (
    *("batch", "accumulate", "lr", "schedule", "warmup", "beta1", "beta2", "weight_decay", "clip"),
    *("patience", "snapshots", "checkpoint_every", "keep", "log_every", "track"),
)
"""Settings that a resumed run may change for the rest of its training; the changes are recorded."""


@dataclass(frozen=True)
class TrainConfig(Config):
    """Settings of training; a family may have its own defaults."""

    duration: str = option("10ep", f"duration of the training, {FORMS}", flag="for")
    batch: int = option(128, "batch size: images of each update of a player", low=1)
    accumulate: int = option(
        1, "gradient accumulation: micro-batches of each batch, computed one after the other or by several processes", low=1
    )
    seed: int = option(0, "seed of all random numbers", low=0)
    labels: int = option(
        0, "semi-supervised models: number of training images whose label is used, balanced over classes; 0: all", low=0
    )
    optimizer: Literal["adam", "adamw"] = option("adam", "optimizer of every player")
    lr: float = option(1e-3, "peak learning rate", low=0)
    beta1: float = option(0.9, "Adam: decay of the moving average of the gradient", low=0, high=1)
    beta2: float = option(0.999, "Adam: decay of the moving average of the squared gradient", low=0, high=1)
    weight_decay: float = option(0.0, "weight decay; decoupled with adamw, an L2 penalty with adam", low=0)
    schedule: Literal["constant", "cosine", "linear"] = option(
        "cosine", "learning-rate schedule after the warm-up: constant, cosine to zero, or linear to zero in the second half"
    )
    warmup: float = option(0.02, "fraction of the training over which the learning rate rises from zero", low=0, high=1)
    clip: float = option(0.0, "maximum gradient norm of a player; 0 disables clipping", low=0)
    ema: float = option(
        0.999,
        "decay of the moving average of the weights, which is the model that is evaluated; 0 evaluates the last weights",
        low=0,
        high=1,
    )
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "precision of the networks; auto: bfloat16 if the hardware supports it. Losses are always float32"
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "device of the training; auto: cuda if there is a GPU")
    threads: int = option(0, "CPU threads of each process; 0: all cores, or OMP_NUM_THREADS", low=0)
    compile: bool = option(
        False,
        "compile the networks with torch.compile: faster for large networks on GPUs, slow to start; on CPUs mostly slower, and "
        "needs a C++ compiler",
    )
    shard: bool = option(False, "torchrun: split each player over the processes (FSDP), for models too large for one device")
    snapshots: int = option(10, "number of times to save images and validate during training", low=1)
    patience: int = option(
        0,
        "early stopping: end after this many snapshots in a row without a lower validation loss, and evaluate the weights of the "
        "lowest; 0: train to the end, and evaluate the last weights",
        low=0,
    )
    checkpoint_every: str = option("2min", "time, steps, epochs or images between checkpoints")
    keep: int = option(2, "number of checkpoints to keep", low=1)
    log_every: int = option(50, "steps between reports, over which losses are averaged", low=1)
    track: str = option("", f"experiment trackers: {', '.join(trackers.names())}; separate several with commas")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        Duration.parse(self.duration)
        Duration.parse(self.checkpoint_every)
        trackers.chosen(self.track)
        if self.batch % self.accumulate:
            raise UsageError(f"batch is {self.batch}, expected a multiple of accumulate, which is {self.accumulate}")
        if self.labels and (self.batch // self.accumulate) % 2:
            raise UsageError(
                f"labels is {self.labels}, so that every second image of a batch has its label, and micro-batches have "
                f"{self.batch // self.accumulate} images: choose batch and accumulate so that the number is even"
            )
        if max(self.ema, self.beta1, self.beta2) >= 1:
            raise UsageError(f"ema is {self.ema}, beta1 {self.beta1} and beta2 {self.beta2}, expected values below 1")
