"""Training speed and memory of the real engine against the usual loop, a bare loop with the same arithmetic, and peers.

    python benchmarks/training.py [--family vae] [--preset NAME] [--peers] [--batch 128] [--rounds 5] [--steps 150] [--threads 0]
                                  [--side 28] [--channels 1] [--precision NAME] [--warm 20] [--clock wall]
                                  [--record docs/reference/speed.md]

Every measurement is a process of its own; the variants take turns (A B C A B C), so that a noisy machine harms all alike, and a
matrix product is timed in every round. Data are random bytes, --side x --side x --channels, the same number for all: speed only.
The first --warm steps of each process are not timed. --precision is that of the engine and of the bare loop, in place of the
family's default. Reported are medians over rounds, ratios within a round with their range, and two kinds of memory:
`above start` is the peak minus what the process held after its imports (what training takes: model, data, activations, and
compiled graphs), the other the whole process with its libraries. A goal such as "0.6 of pythae's" is about the first: most of the
second is torch itself, on both sides.

--peers adds the engine with --compile, and pythae and Keras with TensorFlow, or for diffusion diffusers with accelerate, each in
an environment of its own that is made on first use (about 2.5 GB in $SIMULACRA_CACHE/benchmarks); all then train the peer's
network. Each peer is measured as its documentation has it, and at its best: in the fastest of a few settings, chosen by a short
measurement of each before the rounds (candidates.py). --record stores the measurement beside a page of speeds and writes its
table (speed_page.py). Fraction of the peak: operations of
forward and backward, times images/s, over the best rate of a product of large square matrices in the same arithmetic, timed once
in every round as `simulacra doctor` does.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import candidates
import torch
import variants
from environments import PEERS, python_of
from measurements import Command, add_clock, check_clock, take_turns
from peers.stopwatch import WARM, Stopwatch
from speed_page import CLOCKS, Measured, facts, record
from table import Reference, Rounds, ratios, span, table

from simulacra.core.errors import SimulacraError
from simulacra.engine import hardware
from simulacra.engine import speed as speeds
from simulacra.engine.compilation import find_compiler

SCRIPTS = {"pythae": "pythae_vae.py", "keras": "keras_vae.py", "diffusers": "diffusers_training.py"}
PEERS_OF = {"vae": ("pythae", "keras"), "autoencoder": ("pythae", "keras"), "diffusion": ("diffusers",)}
BYTES = 15_000 * 28 * 28  # of all images
OURS_ALONE = ("preset", "side", "channels", "precision")  # settings that peers do not take
_MATRIX = "matrix product"


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
    """Choose the peers' settings, measure all variants in turns, and report."""
    commands = {name: our_command(name, parsed) for name in our_variants(parsed)}
    settings, tried = {}, {}
    for peer in PEERS_OF[parsed.family] if parsed.peers else ():
        command = partial(peer_command, peer, parsed)
        short = partial(peer_command, peer, argparse.Namespace(**{**vars(parsed), "steps": max(2, parsed.steps // 2)}))
        best, tried[peer] = candidates.best(peer, candidates.TRAINING[peer], short, parsed.clock)
        commands[f"{peer}, {candidates.DOCUMENTED.name}"] = command(candidates.DOCUMENTED)
        commands[best_of(peer)], settings[best_of(peer)] = command(best), best.name
    rounds = take_turns({_MATRIX: our_command(_MATRIX, parsed), **commands}, parsed.rounds, parsed.clock)
    rates = rounds.pop(_MATRIX)
    report(rounds, rates, parsed)
    for name, setting in settings.items():
        print(f"{name}: {setting}; images/s of each setting: {tried[name.partition(',')[0]]}")
    if parsed.record:
        record(parsed.record, measured_facts(rounds, settings, tried, parsed))


def our_variants(parsed: argparse.Namespace) -> list[str]:
    """Return the usual loop and ours; without the bare loops that the page of speeds does not show, or that compute alike."""
    float32 = variants.precision_of(case(parsed)) is torch.float32
    left_out = {variants.BARE_FLOAT32, variants.BARE} if parsed.record else {variants.BARE_FLOAT32} if float32 else set()
    ours = [name for name in variants.VARIANTS if name not in left_out]
    return [*ours, *([variants.COMPILED] if parsed.peers and find_compiler() else [])]


def titles(rounds: Rounds) -> dict[str, str]:
    """Return the variants that the page of speeds shows, ours first, with their names there."""
    ours = {variants.ENGINE: "Simulacra", variants.COMPILED: "Simulacra, `--compile`"}
    first = {name: title for name, title in ours.items() if name in rounds}
    return first | {name: name for name in rounds if name not in first and not name.startswith("bare")}


def best_of(peer: str) -> str:
    return f"{peer}, at its best"


def peer_command(peer: str, parsed: argparse.Namespace, setting: candidates.Setting) -> Command:
    words = (str(python_of(peer)), str(PEERS / SCRIPTS[peer]), *shared(parsed), *setting.flags)
    return Command(words, setting.environment)


def _titled(named: dict[str, Any]) -> dict[str, Any]:
    """Return what is named after peers under their names as they are written."""
    return {name.replace("keras", "Keras"): value for name, value in named.items()}


def measured_facts(rounds: Rounds, settings: dict[str, str], tried: dict, parsed: argparse.Namespace) -> Measured:
    """Return what the page of speeds states about this run."""
    shown = {title: rounds[name] for name, title in titles(rounds).items()}
    given = {name: getattr(parsed, name) for name in ("family", "batch", "steps", "warm", "rounds", "threads", "clock")}
    command = " ".join(["python benchmarks/training.py --peers", *(f"--{name} {value}" for name, value in given.items())])
    work = f"{parsed.steps} steps after {parsed.warm}, {parsed.rounds} rounds, {CLOCKS[parsed.clock]}"
    return Measured(
        task=f"Train `{parsed.family}`, batch size {parsed.batch}",
        ours="Simulacra",
        rounds=_titled(shown),
        settings=_titled(settings),
        tried=_titled(tried),
        protocol=work,
        command=command,
        facts=facts(str(variants.precision_of(case(parsed))).removeprefix("torch.")),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="vae")
    parser.add_argument("--preset", default="", help="one of the family's presets")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0 takes all")
    parser.add_argument("--side", type=int, default=28, help="pixels of an image's side")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--precision", default="", help="of the engine and the bare loop; the family's default where not given")
    parser.add_argument("--warm", type=int, default=WARM, help="steps before the clock starts")
    add_clock(parser)
    parser.add_argument("--record", type=Path, help="page of speeds, whose table receives this measurement")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    parsed.threads = parsed.threads or torch.get_num_threads()
    images = BYTES // (parsed.side**2 * parsed.channels)
    parsed.images = max(1, images // parsed.batch) * parsed.batch  # whole batches, so that no variant has a short one
    check_clock(parser, parsed)
    changed = [name for name in OURS_ALONE if getattr(parsed, name) != parser.get_default(name)]
    if parsed.peers and (parsed.family not in PEERS_OF or changed):
        parser.error(f"--peers goes with --family {', '.join(PEERS_OF)} and without {', '.join(OURS_ALONE)}: leave --peers out")
    return parsed


def measured(parsed: argparse.Namespace) -> dict[str, float]:
    """Measure one variant in this process."""
    if parsed.variant == _MATRIX:
        device = torch.device("cpu")
        return {str(kind).removeprefix("torch."): speeds.matmul(device, kind) for kind in (torch.float32, torch.bfloat16)}
    return variants.measure(parsed.variant, case(parsed), Stopwatch(parsed.batch, parsed.steps, parsed.warm), parsed.images)


def case(parsed: argparse.Namespace) -> variants.Case:
    return variants.Case(parsed.family, parsed.preset, parsed.peers, parsed.side, parsed.channels, parsed.precision)


def our_command(variant: str, parsed: argparse.Namespace) -> Command:
    peers = ["--peers"] if parsed.peers else []
    return Command((sys.executable, str(Path(__file__)), "--variant", variant, *peers, *shared(parsed, own=True)))


def shared(parsed: argparse.Namespace, *, own: bool = False) -> list[str]:
    """Return the arguments that say what is measured; ours derive the number of images from the batch."""
    names = ("family", "batch", "steps", "warm", "threads", *(OURS_ALONE if own else ("images",)))
    return [f"--{name}={getattr(parsed, name)}" for name in names]


def report(rounds: Rounds, rates: list[dict[str, float]], parsed: argparse.Namespace) -> None:
    work = variants.flops_per_image(case(parsed), parsed.batch)
    ours = str(variants.precision_of(case(parsed))).removeprefix("torch.")
    arithmetic = dict.fromkeys(rounds, "float32") | dict.fromkeys((variants.BARE, variants.ENGINE, variants.COMPILED), ours)
    machine = ", ".join(f"{name} {value}" for name, value in hardware.describe().items())
    best = {kind: max(each[kind] for each in rates) for kind in rates[0]}
    products = ", ".join(f"{kind} {gflops:.0f}" for kind, gflops in best.items())
    name = " ".join((parsed.family, parsed.preset)).strip()
    size = f"{parsed.side}x{parsed.side}x{parsed.channels}"
    print(f"{name}, {size}, batch {parsed.batch}, {parsed.steps} steps, {parsed.rounds} rounds")
    print(f"{machine}; torch {torch.__version__}")
    print(f"{work / 1e6:.1f} MFLOP per image and step; matrix products at best, GFLOP/s: {products}\n")
    print(table(rounds, arithmetic, Reference(variants.USUAL, variants.ENGINE, work, best)))
    if variants.BARE in rounds:
        overheads = [100 * (ratio - 1) for ratio in ratios(rounds, variants.BARE, variants.ENGINE)]
        print(f"\nThe engine's overhead over the bare loop: {span(overheads, '.1f')} %")
    for peer in (name for name in rounds if name.partition(",")[0] in SCRIPTS):
        above, whole = (span(ratios(rounds, variants.ENGINE, peer, key)) for key in ("above_start_mib", "peak_mib"))
        print(f"The engine's peak memory against {peer}'s: {above} above start, {whole} of the whole process")


if __name__ == "__main__":
    main()
