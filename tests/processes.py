"""Commands in processes of their own, started by a process that has imported PyTorch: each starts in a fraction of a second.

`python -m simulacra` itself is tested by tests/interfaces and by the slow tests.
"""

import multiprocessing
import os
import sys
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
