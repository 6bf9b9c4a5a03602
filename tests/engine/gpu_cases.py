"""Trainings of every family on a device, for the tests on GPUs and benchmarks/gpu.py."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from simulacra import families
from simulacra.core.batch import Batch, DataSpec
from simulacra.core.batch_source import UnpairedBatches
from simulacra.core.condition import Condition
from simulacra.engine.loop import Trainer
from simulacra.runs.settings import resolve


@dataclass(frozen=True)
class Case:
    """A family in a preset on random images. compiled: also with --compile."""

    family: str
    preset: str = ""
    channels: int = 1
    side: int = 28
    batch: int = 128
    compiled: bool = False

    @property
    def name(self) -> str:
        preset = f":{self.preset}" if self.preset else ""
        return f"{self.family}{preset} {self.channels}x{self.side}x{self.side}, batch {self.batch}"


class HeldBatches:
    """A batch source of a few random batches on a device, in channels-last memory as the engine's own."""

    def __init__(self, spec: DataSpec, size: int, device: torch.device, seed: int = 0) -> None:
        source = torch.Generator().manual_seed(seed)
        self.size, self.per_epoch = size, 100
        self.batches = [self._batch(spec, source, device) for _ in range(4)]

    def _batch(self, spec: DataSpec, source: torch.Generator, device: torch.device) -> Batch:
        levels = torch.randint(0, 256, (self.size, *spec.shape), generator=source)
        images = (levels / 255).to(device).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, len(spec.classes), (self.size,), generator=source).to(device)
        return Batch(images, Condition(labels))

    def batch(self, number: int, device: torch.device | str = "cpu") -> Batch:
        return self.batches[number % len(self.batches)]


def trainer_of(case: Case, device: torch.device, **settings: Any) -> Trainer:
    """Return a training of a case with weights of seed 0."""
    overrides = {"device": device.type, "batch": case.batch, "duration": "100000", **settings}
    if case.preset:
        overrides["preset"] = case.preset
    config = resolve({"family": case.family}, overrides)
    classes = tuple(str(number) for number in range(10))
    spec = DataSpec(case.channels, case.side, case.side, classes)
    domains = families.find(case.family).domains
    torch.manual_seed(0)
    if domains:
        family = config.new_family(replace(spec, domains=dict.fromkeys(domains, spec)))
        sources = {name: HeldBatches(spec, case.batch, device, seed) for seed, name in enumerate(domains)}
        return Trainer(family, UnpairedBatches(sources), config.train)
    return Trainer(config.new_family(spec), HeldBatches(spec, case.batch, device), config.train)


def three_losses(case: Case, device: torch.device, precision: str) -> list[dict[str, float]]:
    """Return the losses of the first three steps, with random numbers drawn on the CPU."""
    dropout = {"dropout": 0.0} if "dropout" in families.find(case.family).Config.__dataclass_fields__ else {}
    trainer = trainer_of(case, device, precision=precision, **dropout)
    losses = []
    with RandomOnCpu():
        for _ in range(3):
            trainer.play()
            losses.append({name: value for name, value in trainer.report().items() if "/" in name})
    return losses


def largest_difference(expected: list[dict[str, float]], got: list[dict[str, float]]) -> float:
    """Return the largest difference over steps and losses, relative where the loss is above 1."""
    pairs = [(value, other[name]) for one, other in zip(expected, got, strict=True) for name, value in one.items()]
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)


def exact_float32() -> None:
    """Disable TF32, which rounds float32 products to 10 bits of mantissa."""
    torch.set_float32_matmul_precision("highest")
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False


class RandomOnCpu(TorchDispatchMode):
    """Draws all random numbers with the CPU's generator, so that a GPU receives the same ones."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        if name.rstrip("_").removesuffix("_like") not in (
            "randn",
            "rand",
            "normal",
            "uniform",
            "bernoulli",
            "random",
            "randint",
            "randperm",
        ):
            return func(*args, **kwargs)
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        device = tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
        if device.type == "cpu":
            return func(*args, **kwargs)
        drawn = func(
            *tree_map(_to_cpu, args), **tree_map(_to_cpu, {**kwargs, "device": torch.device("cpu")} if not tensors else kwargs)
        )
        if name.endswith("_"):
            return args[0].copy_(drawn)
        return drawn.to(device)


def _to_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu()
    return torch.device("cpu") if isinstance(value, torch.device) else value
