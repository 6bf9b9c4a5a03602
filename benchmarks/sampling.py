"""Sampling speed of diffusion models in images a second: with 20 steps, with 1000, and with one step of average velocities.

    python benchmarks/sampling.py [--images 256] [--rounds 5] [--threads 0] [--clock wall] [--record docs/reference/speed.md]

One U-Net for all, layer for layer (28x28, 1,062,497 parameters), untrained: speed only. Every measurement is a process of its
own, and the variants take turns. The usual loop is our network in stock layers, float32 and PyTorch's default layout; ours are
`simulacra sample` in float32 and in the arithmetic it takes on this machine; diffusers runs its own network and samplers in an
environment of its own, made on first use: as its documentation has it, and at its best, in the fastest of a few settings, chosen
by a short measurement before the rounds (candidates.py). 20 steps of DPM-Solver++ everywhere; of diffusers' 1000 steps of DDPM
the first 20 are timed, and all take as long.

One step: the same U-Net in a flow with `--average-steps 1`, which embeds the length of the step, too; beside it `dcgan`, a
generator of another kind. --record stores both measurements beside a page of speeds and writes its table (speed_page.py).
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import candidates
import torch
import variants
from environments import PEERS, python_of
from measurements import Command, add_clock, check_clock, take_turns
from peers.stopwatch import Clock, memory_mib, memory_since
from speed_page import CLOCKS, Measured, facts, record
from stock import stock_layers
from table import Rounds, ratios, span

from simulacra.core.errors import SimulacraError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.progress import SILENT
from simulacra.data.load import from_array
from simulacra.engine import hardware
from simulacra.runs.generation import SampleRequest, change_plan, sample_images

USUAL, FLOAT32, OURS = "usual loop", "Simulacra, float32", "Simulacra"
ONE_STEP, DCGAN = "Simulacra, one step", "Simulacra, `dcgan`"
SOLVER, SOLVER_BEST = "diffusers, as documented", "diffusers, at its best"
CHAIN, CHAIN_BEST = "diffusers, DDPM-1000, as documented", "diffusers, DDPM-1000, at its best"
STEPS, CHAIN_STEPS = 20, 1000
AT_ONCE = 64  # images: as many as `simulacra sample` takes of this size, for diffusers too
MORE = {ONE_STEP: 4, DCGAN: 32}  # times the images, since they are fast
NETWORK = variants.LIKE_PEER["diffusion"]
FEW = {ONE_STEP: ONE_STEP, DCGAN: DCGAN, "Simulacra, DPM-Solver++ 20": OURS, CHAIN: CHAIN, CHAIN_BEST: CHAIN_BEST}
"""What the second table calls the variants."""


def main() -> None:
    parsed = arguments()
    torch.set_num_threads(parsed.threads)
    if parsed.variant:
        print(json.dumps(measured(parsed)))
        return
    try:
        compare(parsed)
    except SimulacraError as error:
        sys.exit(f"error: {error}")


def compare(parsed: argparse.Namespace) -> None:
    """Choose the settings of diffusers, measure all variants in turns, and report."""
    is_float32 = precision() is torch.float32
    ours = [USUAL, OURS, *([] if is_float32 else [FLOAT32]), ONE_STEP, DCGAN]
    commands = {name: Command((sys.executable, __file__, "--variant", name, *sizes(parsed))) for name in ours}
    solver, chain = (partial(diffusers, sampler, parsed) for sampler in ("dpmpp-2m", "ddpm"))
    short = argparse.Namespace(**{**vars(parsed), "images": AT_ONCE})
    best, tried = candidates.best(
        "diffusers", candidates.SAMPLING["diffusers"], partial(diffusers, "dpmpp-2m", short), parsed.clock
    )
    commands |= {SOLVER: solver(candidates.DOCUMENTED), SOLVER_BEST: solver(best)}
    commands |= {CHAIN: chain(candidates.DOCUMENTED), CHAIN_BEST: chain(best)}
    rounds = take_turns(commands, parsed.rounds, parsed.clock)
    report(rounds, parsed)
    print(f"\n{SOLVER_BEST}: {best.name}; images/s of each setting: {tried}")
    if parsed.record:
        record(parsed.record, *entries(rounds, best.name, {"diffusers": tried}, parsed))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 256), ("rounds", 5), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    add_clock(parser)
    parser.add_argument("--record", type=Path, help="page of speeds, whose table receives these measurements")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    parsed.threads = parsed.threads or torch.get_num_threads()
    if parsed.images % AT_ONCE:
        parser.error(f"--images is {parsed.images}, expected a multiple of {AT_ONCE}")
    check_clock(parser, parsed)
    return parsed


def sizes(parsed: argparse.Namespace) -> list[str]:
    return [word for name in ("images", "threads") for word in (f"--{name}", str(getattr(parsed, name)))]


def diffusers(sampler: str, parsed: argparse.Namespace, setting: candidates.Setting) -> Command:
    steps = CHAIN_STEPS if sampler == "ddpm" else STEPS
    words = [*sizes(parsed), "--batch", str(AT_ONCE), "--timed", str(STEPS), "--sampler", sampler, "--steps", str(steps)]
    return Command(
        (str(python_of("diffusers")), str(PEERS / "diffusers_sampling.py"), *words, *setting.flags), setting.environment
    )


def precision() -> torch.dtype:
    """Return the arithmetic of `simulacra sample` on this machine."""
    return variants.precision_of(variants.Case("diffusion"))


def measured(parsed: argparse.Namespace) -> dict[str, float]:
    """Measure one variant of ours in this process."""
    start = memory_mib("VmRSS")
    data = from_array(variants.random_images(2), validation=0.0, name="random")
    if parsed.variant == USUAL:
        stock_layers()
    model, plan = modelled(parsed.variant, data)
    if parsed.variant != USUAL:
        hardware.keep_memory()
        hardware.channels_last(model)
    images = parsed.images * MORE.get(parsed.variant, 1)
    with inference_mode(model):
        sample_images(model, SampleRequest(AT_ONCE, plan=plan and change_plan(plan, steps=min(3, plan.steps))), SILENT)
        clock = Clock()
        sample_images(model, SampleRequest(images, plan=plan), SILENT)
        rates = clock.rates(images)
    return {**rates, **memory_since(start)}


def modelled(variant: str, data):
    """Return the model of a variant and its sampling plan, None for a generator."""
    if variant == DCGAN:
        return variants.Case("dcgan").family(data), None
    if variant == ONE_STEP:
        model = variants.resolve({"family": "flow"}, {**NETWORK, "average_steps": 1}).new_family(data.spec)
        return model, change_plan(model.plan, precision=precision())
    model = variants.Case("diffusion", like_peer=True).family(data)
    return model, change_plan(model.plan, "dpmpp-2m", STEPS, precision=precision() if variant == OURS else torch.float32)


def report(rounds: Rounds, parsed: argparse.Namespace) -> None:
    print(f"{parsed.images} images, {AT_ONCE} at once, {parsed.rounds} rounds")
    machine = ", ".join(f"{name} {value}" for name, value in hardware.describe().items())
    print(f"{machine}; torch {torch.__version__}\n")
    print("| variant | images/s | ours against it | one step against it | peak memory above start, MiB |\n|---|---|---|---|---|")
    for name, records in rounds.items():
        speeds = span([record["images_per_second"] for record in records], ",.2f")
        memory = span([record["above_start_mib"] for record in records], ".0f")
        against = " | ".join(span(ratios(rounds, ours, name)) for ours in (OURS, ONE_STEP))
        print(f"| {name} | {speeds} | {against} | {memory} |")


def entries(rounds: Rounds, best: str, tried: dict[str, dict[str, float]], parsed: argparse.Namespace) -> list[Measured]:
    """Return what the page of speeds states about this run: sampling in 20 steps, and in one."""
    given = " ".join(f"--{name} {getattr(parsed, name)}" for name in ("images", "rounds", "threads", "clock"))
    how = {"command": f"python benchmarks/sampling.py {given}", "facts": facts(str(precision()).removeprefix("torch."))}
    protocol = f"{parsed.images} images, {AT_ONCE} at once, {parsed.rounds} rounds, {CLOCKS[parsed.clock]}"
    solvers = {name: rounds[name] for name in (OURS, FLOAT32, USUAL, SOLVER, SOLVER_BEST) if name in rounds}
    few = {shown: rounds[name] for shown, name in FEW.items()}
    task, quick = "Sample in 20 steps of DPM-Solver++", "Sample in one step"
    return [
        Measured(task, OURS, solvers, {SOLVER_BEST: best}, tried, protocol, **how),
        Measured(quick, ONE_STEP, few, {CHAIN_BEST: best}, {}, f"in the same run as {task[0].lower()}{task[1:]}", **how),
    ]


if __name__ == "__main__":
    main()
