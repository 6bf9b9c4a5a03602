"""What the samplers and guidances of a trained diffusion or flow model give, and cost: the tables of docs/families/diffusion.md.

    python benchmarks/samplers.py RUN [PLAN...] [--images 1000] [--split test] [--threads 1]

A PLAN is sampler:steps or sampler:steps:guidance, such as dpmpp-2m:20:1.3; without a guidance it is 1, the model as it was
learned. All plans start from the same noise, and a conditional model is asked for all classes equally. Measured are the Fréchet
distance to the images of a split in the features of the toolkit's own extractor, with its standard error, the share of images
that are assigned to the requested class, and the time. The first row is as many training images instead, below which no sampler
can be expected. Choose on `--split validation`.
"""

import argparse
import time

import torch
from torch import Tensor

import simulacra
from simulacra.core.capabilities import SamplesIteratively, require
from simulacra.core.progress import SILENT
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.settings import SharedSettings
from simulacra.metrics.statistics.frechet import frechet_distance
from simulacra.metrics.statistics.moments import BlockedMoments, blocked_moments
from simulacra.runs.opened import OpenedRun

PLANS = ("dpmpp-2m:20", "ddim:50", "ancestral:1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("plans", nargs="*", metavar="PLAN", default=PLANS)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    trained = simulacra.open(parsed.run)
    subjects = [context(trained, words, parsed.images) for words in parsed.plans]
    whole = subjects[0]
    reference = blocked_moments(whole.real(getattr(trained.dataset, parsed.split)).features)
    floor = distance(whole.real(trained.dataset.train).features[: parsed.images], reference)
    print("| sampler | steps | guidance | evaluations | Fréchet distance | label agreement | time an image |")
    print("|---|---|---|---|---|---|---|")
    print(f"| training images | | | | {floor} | | |")
    for one in subjects:
        print(row(one, reference), flush=True)


def context(trained: OpenedRun, words: str, images: int) -> EvaluationContext:
    sampler, steps, guidance = [*words.split(":"), "1"][:3]
    settings = SharedSettings(samples=images, sampler=sampler, steps=int(steps), guidance_scale=float(guidance))
    return EvaluationContext(trained, settings, SILENT)


def row(one: EvaluationContext, reference: BlockedMoments) -> str:
    plan = one.plan
    assert plan is not None
    began = time.perf_counter()
    made = list(one.labelled_images()) if one.classes else [(images, torch.full((len(images),), -1)) for images in one.images()]
    each = (time.perf_counter() - began) / one.settings.samples
    images, asked = (torch.cat(parts) for parts in zip(*made, strict=True))
    told = f"{(one.extractor.predictions(images) == asked).double().mean().item():.2%}" if one.classes else ""
    with SILENT.task("", None, "") as meter:
        found = distance(one.extractor.embed(images, meter).features, reference)
    evaluations = require(one.model, SamplesIteratively, "a choice of sampler").evaluations(plan)
    return f"| {plan.sampler} | {plan.steps} | {plan.guidance_scale} | {evaluations} | {found} | {told} | {1000 * each:,.0f} ms |"


def distance(features: Tensor, reference: BlockedMoments) -> str:
    with SILENT.task("", None, "") as meter:
        found = frechet_distance(blocked_moments(features), reference, meter)
    return f"{found.value:.3f} ± {found.standard_error:.3f}"


if __name__ == "__main__":
    main()
