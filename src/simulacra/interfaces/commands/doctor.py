"""Examine this machine: processor, memory, threads, GPU, measured speed, accelerations that are on or off.

The output ends with recommendations. Speeds are measured with the number of threads in their title.
"""

import argparse
import io
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from simulacra.interfaces.arguments import MachineConfig, Parser, add_settings, examples, machine
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from simulacra.engine.machine import Machine
    from simulacra.interfaces.doctor import Findings

EXAMPLES = examples("simulacra doctor", "simulacra doctor --threads 1", "simulacra doctor --json")
POSITION = ("machine", 1)

_NAMES = 30  # characters of the column of names
_WIDTH = 120  # characters of a line, at most
_GIB = 2**30
_RATES = {
    "matmul_float32_gflops": ("matrix product, float32", "{:>7,.0f} GFLOP/s"),
    "matmul_bfloat16_gflops": ("matrix product, bfloat16", "{:>7,.0f} GFLOP/s"),
    "convolution_gflops": ("3x3 convolution, {kind}", "{:>7,.0f} GFLOP/s"),
    "copy_gib_per_second": ("memory copy", "{:>7,.1f} GiB/s"),
}


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the flags."""
    add_settings(parser, "machine", MachineConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Examine."""
    from simulacra.interfaces.doctor import examine

    settings = machine(parsed)
    found = examine(settings.threads, device=settings.device)
    content, columns, terminal = asdict(found), shutil.get_terminal_size().columns, sys.stdout.isatty()
    console.result(content, lambda: ending([text(found, columns, terminal)], "demo", "train vae --data digits"))
    return 0


def text(found: "Findings", columns: int, is_terminal: bool) -> str:
    """Return the findings as sections of two columns, in at most so many characters a line, with colours on a terminal."""
    from rich.console import Console as Terminal

    written = io.StringIO()
    terminal = Terminal(file=written, width=min(columns, _WIDTH), force_terminal=is_terminal, highlight=False, emoji=False)
    for title, rows in _sections(found).items():
        _print(terminal, title, rows)
    if found.advice:
        _print(terminal, "Recommendations", {str(number): advice for number, advice in enumerate(found.advice, 1)}, names=4)
    else:
        terminal.print("No problems found.", style="bold green")
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).rstrip("\n")


def _sections(found: "Findings") -> dict[str, dict[str, str]]:
    """Return the facts by name, in sections by title."""
    on = f"{found.threads} CPU thread{'s' * (found.threads > 1)}" if found.device == "cpu" else "the GPU"
    built, arithmetic = found.torch, found.torch["arithmetic"]
    forms = {name: _RATES[name] for name in found.speeds}
    rates = {title.format(kind=arithmetic): form.format(found.speeds[name]) for name, (title, form) in forms.items()}
    torch = {
        "version": built["version"],
        "networks compute in": f"{arithmetic} on the {found.device.upper().replace('CUDA', 'GPU')}",
        "threads": f"{found.threads} ({found.threads_why})",
        "kernels": built["kernels"],
    }
    return {
        "Machine": {**_machine(found.machine), "GPU": _gpu(found)},
        "PyTorch": torch,
        f"Speed on {on}": rates,
        "Accelerations": {name: f"{'on ' if item['on'] else 'off'}  {item['why']}" for name, item in found.accelerations.items()},
        "Folders": {name: _folder(item) for name, item in found.places.items()},
        "Optional packages": {
            name: version or f'not installed: pip install "simulacra[{name}]"' for name, version in found.extras.items()
        },
    }


def _print(terminal: "Terminal", title: str, rows: dict[str, str], names: int = _NAMES) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=names)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        styled = Text(value)
        styled.highlight_regex(r"^on\b", "green")
        styled.highlight_regex(r"^(off\b|not ).*", "dim")
        grid.add_row(Text(f"  {name}"), styled)
    terminal.print(Text(title, style="bold"))
    terminal.print(grid)
    terminal.print()


def _machine(machine: "Machine") -> dict[str, str]:
    memory = [_size(machine.memory) if machine.memory else "not known"]
    memory += [f"{_size(machine.available)} available"] if machine.available is not None else []
    memory += [f"at most {_size(machine.limit)} for the container"] if machine.limit is not None else []
    sets = machine.instructions.items()
    has, lacks = (", ".join(name for name, value in sets if value is wanted) for wanted in (True, False))
    rows = {
        "system": machine.system,
        "processor": machine.processor,
        "cores": f"{machine.cores}" + (f", {machine.usable} for this process" if machine.usable != machine.cores else ""),
        "instruction sets": "; ".join(filter(None, (has, lacks and f"without {lacks}"))) or "not known",
        "memory": ", ".join(memory),
        "load": "not known" if machine.load is None else f"{machine.load:g} processes on {machine.usable} cores, last minute",
    }
    return rows | ({"container limit": f"{machine.quota:g} cores of CPU time"} if machine.quota is not None else {})


def _gpu(found: "Findings") -> str:
    gpu, cuda = found.gpu, found.torch["cuda"]
    if gpu is None:
        return f"none: this PyTorch is {f'built for CUDA {cuda}' if cuda else 'for CPUs only'}"
    several = f", the first of {gpu['count']}" if gpu["count"] > 1 else ""
    memory = f"{_size(gpu['memory'])}, {_size(gpu['free'])} free"
    return f"{gpu['name']}{several}: {memory}, capability {gpu['capability']}"


def _folder(item: dict[str, object]) -> str:
    if item["path"] is None:
        return f"not set: {item['variable']} is the folder of data sets"
    missing = "will be created" if item["variable"] == "SIMULACRA_CACHE" else "does not exist"
    facts = ["exists" if item["exists"] else missing, "writable" if item["writable"] else "read-only"]
    facts += [f"{_size(item['free'])} free"] if isinstance(item["free"], int) else []
    return f"{item['path']} ({', '.join(facts)})"


def _size(count: int) -> str:
    return f"{count / _GIB:,.1f} GiB"
