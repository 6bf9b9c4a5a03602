"""One writer for a run: refused at once, released by death, undisturbed by those who only ask."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from simulacra.core.errors import SimulacraError
from simulacra.core.files import Unwritable
from simulacra.runs.lock import is_written, writing
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve

ASKING = """
import os, sys, time
from pathlib import Path
from simulacra.runs import lock
close = os.close
def slowly(descriptor):
    time.sleep(0.002)  # slow motion: in truth the lock is held for microseconds, in which the two hardly ever meet
    close(descriptor)
os.close = slowly
print("asking", flush=True)
while True:
    lock.is_written(Path(sys.argv[1]))
    time.sleep(0.001)
"""
HOLDING = """
import sys, time
from pathlib import Path
from simulacra.runs.lock import writing
with writing(Path(sys.argv[1])):
    print("holding", flush=True)
    time.sleep(60)
"""


def start(script, run):
    process = subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def end(process):
    process.kill()
    process.communicate()


@pytest.mark.long
def test_asking_again_and_again_never_keeps_a_writer_out(tmp_path):
    with writing(tmp_path):
        pass
    asking = start(ASKING, tmp_path)
    try:
        for _ in range(200):
            with writing(tmp_path):
                assert is_written(tmp_path)
            time.sleep(0.001)  # in which the other process asks, and is found holding the lock
    finally:
        end(asking)
    assert not is_written(tmp_path)


def test_those_who_ask_do_not_take_each_other_for_a_writer(tmp_path):
    with writing(tmp_path):
        pass
    asking = start(ASKING, tmp_path)
    try:
        for _ in range(200):
            assert not is_written(tmp_path)
            time.sleep(0.0001)
    finally:
        end(asking)


def test_a_second_writer_is_refused_by_the_name_of_the_first_until_that_dies(tmp_path):
    holding = start(HOLDING, tmp_path)
    try:
        assert is_written(tmp_path)
        with pytest.raises(SimulacraError, match=rf"another process \(process {holding.pid}\)"), writing(tmp_path):
            pass
        os.kill(holding.pid, signal.SIGKILL)
    finally:
        end(holding)
    assert not is_written(tmp_path)
    with writing(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()}"


def test_asking_from_the_process_that_writes_does_not_release_its_lock(tmp_path):
    with writing(tmp_path):
        assert is_written(tmp_path)
        asked = subprocess.run(
            [sys.executable, "-c", "import sys; from pathlib import Path; from simulacra.runs.lock import is_written as w; "
             "sys.exit(w(Path(sys.argv[1])))", str(tmp_path)], check=False
        )  # fmt: skip
        assert asked.returncode == 1


def test_a_writer_waits_for_one_who_asks_and_not_longer(tmp_path):
    with writing(tmp_path):
        began = time.monotonic()
        with pytest.raises(SimulacraError, match="another process"), writing(tmp_path):
            pass
        assert 0.4 < time.monotonic() - began < 10


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(Unwritable, match="gone"), writing(tmp_path / "gone"):
        pass
    assert not is_written(tmp_path / "gone")


def test_of_many_that_make_one_run_one_makes_it_and_the_others_change_nothing(tmp_path):
    config = resolve({"family": "vae"}, {})
    start, made, refused = threading.Barrier(8), [], []

    def make(number):
        start.wait()
        try:
            Run.create(tmp_path / "run", config, {"number": number})
            made.append(number)
        except SimulacraError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7), refused
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["number"] == made[0]
