"""Sampling speed of a diffusion model in image-steps a second: images times evaluations of the network.

    python benchmarks/sampling.py [--images 256] [--rounds 5] [--threads 0]

One U-Net for all, layer for layer (28x28, 1,062,497 parameters), untrained: speed only. Every measurement is a process of its
own, and the variants take turns. The usual loop is our network in stock layers, float32 and PyTorch's default layout; ours are
`simulacra sample` in float32 and in the arithmetic it takes on this machine; diffusers runs its own network and samplers in an
environment of its own, made on first use. 20 steps of DPM-Solver++ everywhere; of diffusers' 1000 steps of DDPM the first 20 are
timed, and all take as long.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch
import variants
from environments import PEERS, python_of
from peers.stopwatch import memory_mib
from stock import stock_layers
from table import Rounds, ratios, span

from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import SILENT
from simulacra.data.load import from_array
from simulacra.engine import hardware
from simulacra.runs.generation import SampleRequest, change_plan, sample_images
from training import run

USUAL, FLOAT32, OURS = "usual loop", "simulacra, float32", "simulacra"
SOLVER, CHAIN = "diffusers", "diffusers, DDPM-1000"
STEPS, CHAIN_STEPS = 20, 1000
AT_ONCE = 64  # images: as many as `simulacra sample` takes of this size, for diffusers too


def main() -> None:
    parsed = arguments()
    if parsed.variant:
        torch.set_num_threads(parsed.threads)
        print(json.dumps(measured(parsed)))
        return
    commands = {name: [sys.executable, __file__, "--variant", name, *sizes(parsed)] for name in (USUAL, FLOAT32, OURS)}
    peer = [
        str(python_of("diffusers")),
        str(PEERS / "diffusers_sampling.py"),
        *sizes(parsed),
        "--batch",
        str(AT_ONCE),
        "--timed",
        str(STEPS),
    ]
    commands[SOLVER] = [*peer, "--sampler", "dpmpp-2m", "--steps", str(STEPS)]
    commands[CHAIN] = [*peer, "--sampler", "ddpm", "--steps", str(CHAIN_STEPS)]
    rounds: Rounds = {name: [] for name in commands}
    for _ in range(parsed.rounds):
        for name, command in commands.items():
            rounds[name].append(run(command))
            print(f"{name}: {rounds[name][-1]['images_per_second']:,.0f}", file=sys.stderr, flush=True)
    report(rounds, parsed)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 256), ("rounds", 5), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    parsed.threads = parsed.threads or torch.get_num_threads()
    return parsed


def sizes(parsed: argparse.Namespace) -> list[str]:
    return [word for name in ("images", "threads") for word in (f"--{name}", str(getattr(parsed, name)))]


def measured(parsed: argparse.Namespace) -> dict[str, float]:
    """Measure one variant in this process."""
    start = memory_mib("VmRSS")
    case = variants.Case("diffusion", like_peer=True)
    data = from_array(variants.random_images(2), validation=0.0, name="random")
    if parsed.variant == USUAL:
        stock_layers()
    model = case.family(data)
    if parsed.variant != USUAL:
        hardware.keep_memory()
        hardware.channels_last(model)
    precision = variants.precision_of(case) if parsed.variant == OURS else torch.float32
    plan = change_plan(model.plan, "dpmpp-2m", STEPS, precision=precision)
    with inference_mode(model):
        sample_images(model, SampleRequest(8, plan=change_plan(plan, steps=3)), SILENT)
        began = time.perf_counter()
        sample_images(model, SampleRequest(parsed.images, plan=plan), SILENT)
        seconds = time.perf_counter() - began
    peak = memory_mib("VmHWM")
    return {"images_per_second": parsed.images * STEPS / seconds, "peak_mib": peak, "above_start_mib": peak - start}


def report(rounds: Rounds, parsed: argparse.Namespace) -> None:
    print(f"{parsed.images} images, {AT_ONCE} at once, {parsed.rounds} rounds")
    machine = ", ".join(f"{name} {value}" for name, value in hardware.describe().items())
    print(f"{machine}; torch {torch.__version__}\n")
    print("| variant | image-steps/s | images/s | ours against it | peak memory above start, MiB |\n|---|---|---|---|---|")
    for name, records in rounds.items():
        rates = [record["images_per_second"] for record in records]
        steps = CHAIN_STEPS if name == CHAIN else STEPS
        memory = span([record["above_start_mib"] for record in records], ".0f")
        print(f"| {name} | {span(rates, ',.0f')} | {sorted(rates)[len(rates) // 2] / steps:,.2f} |", end="")
        print(f" {span(ratios(rounds, OURS, name))} | {memory} |")
    images = [ratio * CHAIN_STEPS / STEPS for ratio in ratios(rounds, OURS, CHAIN)]
    print(f"\nImages of {STEPS} steps of DPM-Solver++ here for one of {CHAIN_STEPS} steps of DDPM there: {span(images, '.0f')}")


if __name__ == "__main__":
    main()
