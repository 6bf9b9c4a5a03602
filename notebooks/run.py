"""Executes the notebooks of this folder and fails on any problem: `python notebooks/run.py --help`.

Each notebook is a Python file in jupytext's percent format. It is converted to .ipynb and executed from top to bottom in a kernel
of its own: the interpreter that runs this script, in an empty folder, with one thread and with warnings as errors. A notebook
fails on an exception, on any text on standard error, and if it takes more processor time than its budget (on an idle machine, the
time that a reader waits). The executed notebooks are written to --out, those without outputs to its folder `clean`.
"""

import argparse
import asyncio
import difflib
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).parent
BUDGET, TOTAL = 20.0, 180.0  # processor seconds of one notebook; of all, divided by those at once
MEGABYTES = 1.5  # of an executed notebook
_LONG = 0.1  # seconds of a cell that is listed
_PATIENCE = 6  # budgets after which a cell that still runs is interrupted
# Executed in the kernel before the first cell, and not saved. Warnings of the kernel's own code remain.
_STRICT = """import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel|IPython|jupyter_client|tornado|zmq")
"""
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """The result of one notebook.

    seconds: from the start of its kernel to its end; processor: seconds of processor time, which other programs change less;
    problem: empty if there is none; cells: the processor seconds of those that take long.
    """

    name: str
    seconds: float
    processor: float
    problem: str = ""
    is_slow: bool = False
    cells: tuple[str, ...] = ()


class _ThisInterpreter(AsyncKernelManager):  # type: ignore[misc, unused-ignore]
    """Starts kernels with the interpreter of this process, whatever kernels are installed for the user."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute notebooks and return the exit code: 0, or 1 if one of them failed or all together took too long."""
    parser = argparse.ArgumentParser(
        prog="python notebooks/run.py", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="notebooks, such as vae or notebooks/vae.py; without any: all",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/notebooks"), help="folder of the executed notebooks"
    )
    parser.add_argument("--jobs", type=int, default=2, help="notebooks executed at once")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help="processor seconds that one notebook may take"
    )
    parser.add_argument(
        "--cells",
        action="store_true",
        help="print the processor seconds of every cell that takes a tenth of one",
    )
    parser.add_argument(
        "--total",
        type=float,
        default=TOTAL,
        help="processor seconds that all may take, divided by --jobs",
    )
    chosen = parser.parse_args(arguments)
    try:
        paths = find(chosen.names)
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()
    outcomes = execute_all(paths, chosen.out, chosen.budget, chosen.jobs)
    if chosen.cells:
        for outcome in outcomes:
            print("\n".join([f"\n{outcome.name}: processor seconds", *outcome.cells]))
    return report(outcomes, chosen.budget, chosen.jobs, time.monotonic() - began, chosen.total)


def find(names: Sequence[str], folder: Path = FOLDER) -> list[Path]:
    """Return the files of notebooks, of all of them without names; raises ValueError for a name that does not exist."""
    known = {
        path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != Path(__file__).stem
    }
    wanted = [Path(name).stem for name in names] or list(known)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(
                f"there is no notebook {name!r}" + (f": did you mean {near[0]!r}?" if near else "")
            )
    return [known[name] for name in wanted]


def execute_all(paths: Sequence[Path], out: Path, budget: float, jobs: int) -> list[Outcome]:
    """Execute notebooks, `jobs` at once; those that were slow are executed again, each alone, to measure their time."""
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(lambda path: _printed(execute(path, out, budget)), paths))
    for index, outcome in enumerate(outcomes):
        if outcome.is_slow and len(paths) > 1 and jobs > 1:
            print(f"{outcome.name}: again, alone", flush=True)
            outcomes[index] = _printed(execute(paths[index], out, budget))
    return outcomes


def execute(path: Path, out: Path, budget: float = BUDGET) -> Outcome:
    """Execute one notebook; write it with its outputs to `out`, also where it failed, and without outputs to `out/clean`."""
    notebook = converted(path)
    _write(notebook, out / "clean" / f"{path.stem}.ipynb")
    began = time.monotonic()
    problem, processor = _run(notebook, budget)
    cells = [
        f"{own:7.1f}  {_place(path, notebook, cell)}"
        for cell, own in enumerate(processor)
        if own >= _LONG
    ]
    seconds = time.monotonic() - began
    executed = out / f"{path.stem}.ipynb"
    _write(notebook, executed)
    where, what = problem or (None, "")
    problems = (
        [f"{_place(path, notebook, where)}{what}"]
        if what
        else [*_stderr(path, notebook), *_size(executed)]
    )
    spent = sum(processor)
    is_slow = not problems and spent > budget
    if is_slow:
        problems = [f"it took {spent:.1f} s of processor time, and its budget is {budget:g} s"]
    return Outcome(path.stem, seconds, spent, "\n".join(problems), is_slow, tuple(cells))


def converted(path: Path) -> Any:
    """Return a percent file as a notebook without outputs, whose cells have the same identifiers every time."""
    notebook = jupytext.read(path)
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{index}"
        cell.metadata.pop("lines_to_next_cell", None)
    nbformat.validate(notebook)
    return notebook


def report(
    outcomes: Sequence[Outcome], budget: float, jobs: int, elapsed: float, total: float
) -> int:
    """Print the seconds of all notebooks and the problems; return the exit code."""
    print(f"\n{'notebook':<36}seconds   processor seconds (budget {budget:g})")
    for outcome in sorted(outcomes, key=lambda item: -item.processor):
        print(
            f"{outcome.name:<36}{outcome.seconds:7.1f}{outcome.processor:12.1f}{'   FAILED' if outcome.problem else ''}"
        )
    spent = sum(outcome.processor for outcome in outcomes) / jobs
    print(
        f"{'all together, ' + str(jobs) + ' at once':<36}{elapsed:7.1f}{spent:12.1f} (budget {total:g})"
    )
    failed = [outcome for outcome in outcomes if outcome.problem]
    for outcome in failed:
        print(f"\n--- {outcome.name}\n{outcome.problem}")
    if spent > total:
        print(f"\nall notebooks together took {spent:.0f} s, and their budget is {total:g} s")
    return int(bool(failed) or spent > total)


def _run(notebook: Any, budget: float) -> tuple[tuple[int, str] | None, list[float]]:
    """Execute a notebook in place; return the cell with a problem and the problem, or None, and each cell's processor seconds."""
    clock = _Clock([0.0] * len(notebook.cells))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client: Any = NotebookClient(
            notebook,
            kernel_name="python3",
            kernel_manager_class=_ThisInterpreter,
            extra_arguments=[f"--IPKernelApp.exec_lines={_STRICT}", "--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
            timeout=max(1, round(_PATIENCE * budget)),
            record_timing=False,
            on_cell_start=clock.start,
            on_cell_executed=lambda **_: clock.measure(client.km.provisioner.pid),
        )
        try:
            asyncio.run(
                client.async_execute(env={**os.environ, **_THREADS, "PYTHONPATH": _import_path()})
            )
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return (
                clock.cell,
                _described(error, notebook.cells[clock.cell], budget),
            ), clock.seconds
    return None, clock.seconds


@dataclass
class _Clock:
    """The processor seconds of all cells, and the cell that is executed. The first cell with code includes the kernel's start."""

    seconds: list[float]
    cell: int = 0

    def start(self, cell: Any, cell_index: int) -> None:
        self.cell = cell_index

    def measure(self, kernel: int) -> None:
        with suppress(psutil.Error):
            times = psutil.Process(kernel).cpu_times()
            self.seconds[self.cell] = times.user + times.system - sum(self.seconds)


def _described(error: Exception, cell: Any, budget: float) -> str:
    """Return the problem of a cell: for an exception its traceback, without the colours of a terminal."""
    if isinstance(error, CellTimeoutError):
        return f"the cell was interrupted after {_PATIENCE} times the budget of {budget:g} s"
    if isinstance(error, DeadKernelError):
        return "the kernel died"
    found = next(output for output in cell.outputs if output.output_type == "error")
    return _ANSI.sub("", "\n".join([f"{found.ename}: {found.evalue}", *found.traceback]))


def _import_path() -> str:
    """Return PYTHONPATH with absolute paths, since kernels start in another folder."""
    return os.pathsep.join(
        str(Path(part).resolve())
        for part in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if part
    )


def _stderr(path: Path, notebook: Any) -> list[str]:
    """Return a problem for each cell that wrote to standard error."""
    return [
        f"{_place(path, notebook, index)}it wrote to standard error:\n{_ANSI.sub('', output.text)}"
        for index, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stderr"
    ]


def _size(executed: Path) -> list[str]:
    size = executed.stat().st_size / 1e6
    return (
        [f"it has {size:.1f} MB with its outputs, more than {MEGABYTES}: display smaller pictures"]
        if size > MEGABYTES
        else []
    )


def _place(path: Path, notebook: Any, index: int | None) -> str:
    """Return the number of a cell, its line in the percent file, and its first line of code."""
    if index is None:
        return ""
    starts = [
        number
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.startswith("# %%")
    ]
    line = f", line {starts[index]}" if len(starts) == len(notebook.cells) else ""
    first = notebook.cells[index].source.split("\n")[0]
    return f"{path}{line}, cell {index + 1} ({first}): "


def _printed(outcome: Outcome) -> Outcome:
    first = outcome.problem.split("\n")[0]
    print(
        f"{outcome.name}: {outcome.seconds:.1f} s{': FAILED: ' + first if first else ''}",
        flush=True,
    )
    return outcome


def _write(notebook: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call, unused-ignore]


if __name__ == "__main__":
    sys.exit(main())
