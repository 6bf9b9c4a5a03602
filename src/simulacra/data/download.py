"""Download of files from mirrors, with retries, timeouts, verification and atomic writing."""

import http.client
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

from simulacra.core.errors import DataError
from simulacra.core.progress import Progress
from simulacra.data.locations import CACHE_VARIABLE, cache_folder, put_where

ROUNDS = 3  # over all mirrors
FIRST_PAUSE = 1.0  # seconds, doubled after every round
TIMEOUT = 20.0  # seconds without a byte
_CHUNK = 1 << 16
_FAILURES = (OSError, http.client.HTTPException, ValueError)  # URLError and timeouts are OSErrors


def fetch(urls: Sequence[str], target: Path, verify: Callable[[Path], object], progress: Progress) -> None:
    """Download a file from the first mirror that works to `target`, which appears complete and verified or not at all.

    verify: raises DataError for wrong contents. Raises DataError with the last failure if every mirror failed in every round.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        remedy = f"set {CACHE_VARIABLE} to a folder you can write to"
        raise DataError(f"cannot write to {target.parent}: {error.strerror}: {remedy}") from error
    failure: Exception = DataError("no mirror is known")
    try:
        for attempt, url in product(range(ROUNDS), urls):
            if attempt and url == urls[0]:
                time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            try:
                _download(url, temporary, progress)
                verify(temporary)
            except (*_FAILURES, DataError) as error:
                failure = error
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # closes the connection
            else:
                temporary.replace(target)
                return
    finally:
        temporary.unlink(missing_ok=True)
    raise DataError(f"{urls[-1] if urls else 'download'} failed {ROUNDS} times: {failure}") from failure


def fetch_source(
    name: str, file: str, wanted: str, *, urls: Sequence[str], verify: Callable[[Path], object], progress: Progress
) -> Path:
    """Download a file of the data set `name` into the cache and return its path; the error names what to put where instead."""
    target = cache_folder() / name / file
    try:
        fetch(urls, target, verify, progress)
    except DataError as error:
        advice = f"put {wanted} into {put_where(name)}, or use --data digits, which needs no download"
        raise DataError(f"{name} is not on this machine and cannot be downloaded ({error}): {advice}") from error
    return target


def _download(url: str, temporary: Path, progress: Progress) -> None:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is not a web address")
    request = urllib.request.Request(url, headers={"User-Agent": "simulacra"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, temporary.open("wb") as file:
        declared = response.headers.get("Content-Length")
        total = int(declared) if declared and declared.isdecimal() else None
        with progress.task(f"downloading {url.rsplit('/', 1)[-1]}", total, "B") as meter:
            while piece := response.read(_CHUNK):
                file.write(piece)
                meter.advance(len(piece))
        file.flush()
        os.fsync(file.fileno())
        if total is not None and file.tell() != total:
            raise ValueError(f"the connection ended after {file.tell()} of {total} bytes")
