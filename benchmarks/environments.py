"""Environments of the peers: made on first use, in the cache folder, from the pinned requirements beside their scripts."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from measurements import clean_environment

from simulacra.data.locations import cache_folder

PEERS = Path(__file__).parent / "peers"
_READY = "ready"  # a file that says that the environment is whole


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment; makes the environment where it is missing or its pins have changed."""
    requirements = PEERS / f"{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "benchmarks" / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / _READY).exists():
        print(f"making the environment of {peer} in {folder} (some minutes, once)", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _install(python, requirements)
        (folder / _READY).touch()
    return python


def _install(python: Path, requirements: Path) -> None:
    """Install torch by itself, where it is pinned, so that nothing asks for another build of it; then exactly the other pins."""
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = [line for line in requirements.read_text().splitlines() if line.startswith("torch==")]
    for arguments in [*([torch] if torch else []), ["--no-deps", "--requirement", str(requirements)]]:
        subprocess.run([*install, *arguments], check=True, env=clean_environment())
