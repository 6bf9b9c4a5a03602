"""Sampling in batches: from noise to images, in one call of the network or by an iterative sampler, with progress."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from simulacra.core.capabilities import Samples, SamplesIteratively, SamplingPlan
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.eval_mode import inference_mode
from simulacra.core.finite import require_finite
from simulacra.core.progress import Meter, Progress
from simulacra.core.randomness import noise
from simulacra.engine.distributed.shared_work import chunks_of, in_parts, sharing_processes
from simulacra.networks.labels import drawn_labels

PLAN_SETTINGS = ("sampler", "steps", "guidance_scale", "precision")
"""Names of the settings of a sampling plan."""

_BATCH, _ITERATIVE_BATCH = 256, 64  # images per call of a generator, and of an iterative sampler
_VALUES = 2**18  # pixel values per call of an iterative sampler, at most: they stay in the processor's caches


@dataclass(frozen=True)
class SampleRequest:
    """How many images of which seed, on which condition, by which plan (None: the model's own).

    condition: one row for each image; without labels a conditional model draws them from the noise.
    """

    count: int
    seed: int = 0
    condition: Condition = UNCONDITIONAL
    plan: SamplingPlan | None = None


@dataclass(frozen=True)
class GeneratedImages:
    """Some of the images of a request: float [b c h w] in [0, 1] on the CPU, and their labels, None of a model without labels."""

    images: Tensor
    labels: Tensor | None


def sample_images(model: Samples, request: SampleRequest, progress: Progress, device: torch.device | str = "cpu") -> Tensor:
    """Return images [n c h w] in [0, 1] on the CPU; image k of a seed does not depend on the count or on the batches.

    The model is on `device`. Raises UsageError for a plan that the model does not support, NonFiniteError.
    """
    return in_one(request.count, (part.images for part in generated_chunks(model, request, progress, device)))


def in_one(count: int, parts: Iterable[Tensor]) -> Tensor:
    """Return parts with `count` rows in all as one tensor; only one part is held besides it."""
    whole, start = None, 0
    for part in parts:
        whole = torch.empty((count, *part.shape[1:]), dtype=part.dtype) if whole is None else whole
        whole[start : start + len(part)] = part
        start += len(part)
    assert whole is not None
    return whole


def generated_chunks(
    model: Samples, request: SampleRequest, progress: Progress, device: torch.device | str = "cpu"
) -> Iterator[GeneratedImages]:
    """Yield the images of `sample_images` in order, at most 256 at a time, so that any number of them needs bounded memory.

    Processes that share work share the chunks, which are those of the sampler's own batches where it takes several steps.
    """
    if isinstance(model, SamplesIteratively):
        plan = request.plan or model.plan
        model.check(plan)
        evaluations, unit = model.evaluations(plan), "image-steps"
    else:
        plan, evaluations, unit = None, 1, "images"
    with progress.task("sampling", request.count * evaluations, unit) as meter:
        advance = _Speed(meter, evaluations).advance if plan else meter.advance

        def generated(chunk: range) -> dict[str, Tensor]:
            drawn = noise(request.seed, chunk.start, len(chunk), model.noise_shape).to(device)
            given = request.condition[chunk.start : chunk.stop].to(device)
            labels = given.labels if given.labels is not None else drawn_labels(drawn, None, model.label_sizes)[1]
            with inference_mode(cast(nn.Module, model)):
                if isinstance(model, SamplesIteratively) and plan:
                    images = sample_in_batches(model, drawn, given, plan, advance).cpu()
                else:
                    images = model.generate(drawn, given).cpu()
                    advance(len(drawn))
            found = {"images": require_finite(images, "generated images")}
            return found if labels is None else {**found, "labels": labels.cpu()}

        processes = sharing_processes()
        size = _sampler_batch(model) if plan and processes.count > 1 else _BATCH
        for number, (chunk, found) in enumerate(in_parts(chunks_of(request.count, size), generated)):
            if not processes.computes(number):
                advance(len(chunk) * evaluations)
            yield GeneratedImages(found["images"], found.get("labels"))


def change_plan(
    plan: SamplingPlan,
    sampler: str | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    precision: torch.dtype | None = None,
) -> SamplingPlan:
    """Return a plan in which everything that is not None is replaced; another sampler resets eta to 0."""
    if sampler is not None and sampler != plan.sampler:
        plan = replace(plan, sampler=sampler, eta=0.0)
    changes: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale, "precision": precision}
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})


def plan_facts(plan: SamplingPlan) -> dict[str, str | int | float]:
    """Return a plan as it is recorded in protocols and in JSON."""
    facts: dict[str, str | int | float] = {"sampler": plan.sampler, "steps": plan.steps, "guidance_scale": plan.guidance_scale}
    return facts | ({"eta": plan.eta} if plan.eta else {}) | {"arithmetic": str(plan.precision).removeprefix("torch.")}


def sample_in_batches(
    model: SamplesIteratively,
    drawn: Tensor,
    condition: Condition,
    plan: SamplingPlan,
    advance: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """Return images of noise [n *noise_shape] by a plan, in batches of the fastest size, on the device of the noise.

    `advance` is called after each evaluation of the network with the number of images evaluated.
    """
    size = _sampler_batch(model)
    parts = zip(drawn.split(size), condition.split(size, len(drawn)), strict=True)
    return torch.cat([model.sample_with_plan(part, given, plan, partial(advance, len(part))) for part, given in parts])


def _sampler_batch(model: Samples) -> int:
    """Return the number of images per call of an iterative sampler."""
    return max(1, min(_ITERATIVE_BATCH, _VALUES // math.prod(model.noise_shape)))


class _Speed:
    """Reports image-steps to a meter, together with images per second."""

    def __init__(self, meter: Meter, evaluations: int) -> None:
        self._meter, self._evaluations = meter, evaluations
        self._began, self._done = time.monotonic(), 0

    def advance(self, images: int) -> None:
        """Report one evaluation of the network on so many images."""
        self._done += images
        rate = self._done / self._evaluations / max(time.monotonic() - self._began, 1e-9)
        self._meter.advance(images, images=f"{rate:,.3g}/s")
