"""Measurements, each in a process of its own, which prints one line of JSON last."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from table import Rounds, rate

from simulacra.core.errors import SimulacraError


@dataclass(frozen=True)
class Command:
    """Words of a command line, and environment variables besides those of this process."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def add_clock(parser: argparse.ArgumentParser) -> None:
    """Add --clock, which `check_clock` checks."""
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: seconds of the processor, of one thread")


def check_clock(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """End with an error for --clock cpu with several threads."""
    if parsed.clock == "cpu" and parsed.threads != 1:
        parser.error(f"--clock cpu is for one thread, and --threads is {parsed.threads}: add --threads 1")


def run(command: Command, clock: str = "wall") -> dict[str, float]:
    """Run one measurement and return what it printed last. Raises SimulacraError where it fails.

    clock: cpu takes images per second of the processor as the speed, which on a machine that others use depends on them less.
    Other interpreters than this one receive the variables without those that would lead a peer to our packages.
    """
    inherited = dict(os.environ) if command.words[0] == sys.executable else clean_environment()
    environment = {**inherited, **command.environment}
    done = subprocess.run(command.words, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SimulacraError(f"{' '.join(command.words)} failed:\n{done.stderr[-4000:]}")
    record = dict(json.loads(done.stdout.splitlines()[-1]))
    by_processor = record.pop("images_per_cpu_second", None)
    return {**record, "images_per_second": by_processor} if clock == "cpu" and by_processor else record


def take_turns(commands: Mapping[str, Command], rounds: int, clock: str = "wall") -> Rounds:
    """Run every command once a round, in turns (A B C A B C), so that a noisy machine affects all alike."""
    records: Rounds = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            records[name].append(run(command, clock))
            speed = records[name][-1].get("images_per_second")
            said = f": {rate(speed)} images/s" if speed else ""
            print(f"round {number + 1}: {name}{said}", file=sys.stderr, flush=True)
    return records


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that would lead a peer to our packages."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
