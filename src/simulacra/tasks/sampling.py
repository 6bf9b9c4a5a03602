"""Sampling in batches: noise to images, at once or step by step, with a bar that says how many images a second."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from simulacra.core.capabilities import Plan, Refines, Samples
from simulacra.core.progress import Meter, Progress
from simulacra.core.randomness import noise

_AT_ONCE, _REFINED_AT_ONCE = 256, 64  # images per call of the network, which sees them once or many times
_VALUES = 2**18  # pixel values of those that are refined together, at most: they stay in the processor's caches, and in memory


@dataclass(frozen=True)
class Order:
    """What is wanted: how many images of which seed, of which class (None: any), by which plan (None: the model's own)."""

    count: int
    seed: int = 0
    label: int | None = None
    plan: Plan | None = None


def sampled(model: Samples, order: Order, progress: Progress) -> Tensor:
    """Return images [n c h w] in [0, 1]; image k of a seed is the same whatever the count and the batches.

    Raises UsageError for a plan that the model cannot follow. The model is in evaluation mode.
    """
    if isinstance(model, Refines):
        return _refined(model, order, order.plan or model.plan, progress)
    with progress.work("sampling", order.count, "images") as meter:
        return _joined(model, order, _AT_ONCE, lambda drawn, labels: _generated(model, drawn, labels, meter))


def changed(plan: Plan, sampler: str | None = None, steps: int | None = None, guidance: float | None = None) -> Plan:
    """Return a plan with what is not None replaced; another sampler has no eta."""
    if sampler is not None and sampler != plan.sampler:
        plan = replace(plan, sampler=sampler, eta=0.0)
    return replace(
        plan,
        steps=plan.steps if steps is None else steps,
        guidance=plan.guidance if guidance is None else guidance,
    )


def facts(plan: Plan) -> dict[str, str | int | float]:
    """Return what a protocol says of a plan."""
    extra = {"eta": plan.eta} if plan.eta else {}
    return {"sampler": plan.sampler, "steps": plan.steps, "guidance": plan.guidance, **extra}


def _refined(model: Refines, order: Order, plan: Plan, progress: Progress) -> Tensor:
    model.check(plan)
    at_once = max(1, min(_REFINED_AT_ONCE, _VALUES // math.prod(model.noise_shape)))
    total = model.evaluations(plan)
    with progress.work("sampling", order.count * total, "image-steps") as meter:
        pace = _Pace(meter, total)
        return _joined(
            model, order, at_once, lambda drawn, labels: model.refine(drawn, labels, plan, lambda: pace.step(len(drawn)))
        )


class _Pace:
    """Tells a meter of image-steps, and of images per second."""

    def __init__(self, meter: Meter, steps: int) -> None:
        self._meter, self._steps = meter, steps
        self._began, self._done = time.monotonic(), 0

    def step(self, images: int) -> None:
        """Say that images were evaluated once more."""
        self._done += images
        rate = self._done / self._steps / max(time.monotonic() - self._began, 1e-9)
        self._meter.advance(images, images=f"{rate:,.3g}/s")


def _joined(model: Samples, order: Order, at_once: int, make: Callable[[Tensor, Tensor | None], Tensor]) -> Tensor:
    images = []
    for start in range(0, order.count, at_once):
        drawn = noise(order.seed, start, min(at_once, order.count - start), model.noise_shape)
        images.append(make(drawn, None if order.label is None else torch.full((len(drawn),), order.label)))
    return torch.cat(images)


def _generated(model: Samples, drawn: Tensor, labels: Tensor | None, meter: Meter) -> Tensor:
    images = model.generate(drawn, labels)
    meter.advance(len(drawn))
    return images
