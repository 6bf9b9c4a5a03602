"""Commands and functions in processes of their own, started by one that has imported PyTorch: in a fraction of a second.

`python -m simulacra` itself is tested by tests/interfaces and by the slow tests.
"""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["simulacra.interfaces.cli", "simulacra.training.train", "simulacra.families.vae"])


class Command:
    """A command of the command line in a process of its own, with its standard output and error in files of a folder."""

    def __init__(self, folder: Path, *words: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        arguments = (str(folder), [str(word) for word in words], dict(os.environ))
        self.process: BaseProcess = FORKSERVER.Process(target=_run, args=arguments)
        self.process.start()
        self.pid = cast(int, self.process.pid)

    def ended(self, seconds: float = 60) -> tuple[int | None, str, str]:
        """Wait for the end; return exit code, standard output and standard error."""
        self.process.join(seconds)
        output, errors = ((self.folder / name).read_text() for name in ("output", "errors"))
        return self.process.exitcode, output, errors

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        self.process.kill()
        self.process.join()


def together(work: Callable[..., Any], *arguments: object, count: int = 2, seconds: float = 120) -> list[Any]:
    """Call a function in several processes with the environment of torchrun; return the results, which are small, by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = FORKSERVER.Queue()
    shared = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    places = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    processes = [FORKSERVER.Process(target=_call, args=(place, work, arguments, results)) for place in places]
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds)
    assert [process.exitcode for process in processes] == [0] * count
    found = dict(results.get(timeout=10) for _ in processes)
    return [found[rank] for rank in range(count)]


def _call(environment: dict[str, str], work: Callable[..., Any], arguments: tuple[object, ...], results: Any) -> None:
    import torch

    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    results.put((int(environment["RANK"]), work(*arguments)))


def _run(folder: str, words: list[str], environment: dict[str, str]) -> Any:
    import torch

    from simulacra.interfaces.cli import main

    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    for name, stream in (("output", sys.stdout), ("errors", sys.stderr)):
        file = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream.fileno())
        os.close(file)
    sys.exit(main(words))
