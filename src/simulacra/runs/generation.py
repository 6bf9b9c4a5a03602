"""Sampling in batches: noise to images, at once or step by step, with a bar that says how many images a second."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from simulacra.core.capabilities import Samples, SamplesIteratively, SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.progress import Meter, Progress
from simulacra.core.randomness import noise

_AT_ONCE, _REFINED_AT_ONCE = 256, 64  # images that the network makes at once, seeing them once or many times
_VALUES = 2**18  # pixel values of those that are refined together, at most: they stay in the processor's caches, and in memory


@dataclass(frozen=True)
class Order:
    """What is wanted: how many images of which seed, of which class (None: any), by which plan, of a model that refines noise."""

    count: int
    seed: int = 0
    label: int | None = None
    plan: SamplingPlan | None = None


def sampled(model: Samples, order: Order, progress: Progress) -> Tensor:
    """Return images [n c h w] in [0, 1]; image k of a seed is the same whatever the count and the batches.

    Raises UsageError for a plan that the model cannot follow. The model is in evaluation mode.
    """
    if isinstance(model, SamplesIteratively):
        return _refined(model, order, order.plan or model.plan, progress)
    with progress.task("sampling", order.count, "images") as meter:
        return _joined(model, order, lambda drawn, condition: _generated(model, drawn, condition, meter))


def changed(
    plan: SamplingPlan,
    sampler: str | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    precision: torch.dtype | None = None,
) -> SamplingPlan:
    """Return a plan with what is not None replaced; another sampler has no eta."""
    if sampler is not None and sampler != plan.sampler:
        plan = replace(plan, sampler=sampler, eta=0.0)
    return replace(
        plan,
        steps=plan.steps if steps is None else steps,
        guidance_scale=plan.guidance_scale if guidance_scale is None else guidance_scale,
        precision=plan.precision if precision is None else precision,
    )


def facts(plan: SamplingPlan) -> dict[str, str | int | float]:
    """Return what a protocol says of a plan."""
    extra = {"eta": plan.eta} if plan.eta else {}
    arithmetic = str(plan.precision).removeprefix("torch.")
    return {
        "sampler": plan.sampler,
        "steps": plan.steps,
        "guidance_scale": plan.guidance_scale,
        **extra,
        "arithmetic": arithmetic,
    }


def refined(
    model: SamplesIteratively,
    drawn: Tensor,
    condition: Condition,
    plan: SamplingPlan,
    advance: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """Return images of noise by a plan, as many at once as is fast; `advance` is told how many were evaluated, each time."""
    at_once = max(1, min(_REFINED_AT_ONCE, _VALUES // math.prod(model.noise_shape)))
    parts = drawn.split(at_once)
    asked = condition.split(at_once, len(drawn))
    return torch.cat(
        [model.sample_with_plan(part, some, plan, partial(advance, len(part))) for part, some in zip(parts, asked, strict=True)]
    )


def _refined(model: SamplesIteratively, order: Order, plan: SamplingPlan, progress: Progress) -> Tensor:
    model.check(plan)
    total = model.evaluations(plan)
    with progress.task("sampling", order.count * total, "image-steps") as meter:
        pace = _Pace(meter, total)
        return _joined(model, order, lambda drawn, condition: refined(model, drawn, condition, plan, pace.step))


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


def _joined(model: Samples, order: Order, make: Callable[[Tensor, Condition], Tensor]) -> Tensor:
    images = []
    for start in range(0, order.count, _AT_ONCE):
        drawn = noise(order.seed, start, min(_AT_ONCE, order.count - start), model.noise_shape)
        images.append(make(drawn, UNCONDITIONAL if order.label is None else Condition(torch.full((len(drawn),), order.label))))
    return torch.cat(images)


def _generated(model: Samples, drawn: Tensor, condition: Condition, meter: Meter) -> Tensor:
    images = model.generate(drawn, condition)
    meter.advance(len(drawn))
    return images
