"""The doctor: facts read from files of simulated machines, recommendations, and their output."""

import json
import os
import platform
import re
import time
import tomllib
from pathlib import Path

import pytest
import torch

from simulacra.engine import hardware, machine
from simulacra.engine import speed as speeds
from simulacra.engine.compilation import find_compiler
from simulacra.engine.machine import Machine
from simulacra.interfaces import doctor
from simulacra.interfaces.cli import main
from simulacra.interfaces.commands import doctor as command

GIB = 2**30
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n"
SPEEDS = {
    "matmul_float32_gflops": 98.0,
    "matmul_bfloat16_gflops": 2459.4,
    "convolution_gflops": 471.1,
    "copy_gib_per_second": 17.7,
}
QUIET = Machine("Linux x86_64", "Tester 1", 4, 4, None, 0.1, 16 * GIB, 8 * GIB, None, {"avx2": True, "avx512f": False})
FINE = {"exists": True, "writable": True, "free": 9 * GIB}
PLACES = {
    "data": {"path": "/data", "variable": "SIMULACRA_DATA", **FINE},
    "cache": {"path": "/cache", "variable": "SIMULACRA_CACHE", **FINE},
}


def planted(root, **files):
    """Write files below a root, `/` in their names as `__`; return the root."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def group(root, folder, **files):
    """Write the files of a control group, `.` in their names as `__`."""
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


# --- reading machines


def test_an_x86_processor_is_read_from_its_file(tmp_path):
    text = "processor\t: 0\nmodel name\t: Tester 9000\nflags\t\t: fpu avx2 avx512f amx_bf16\n"
    found = machine.examine(planted(tmp_path, proc__cpuinfo=text, proc__meminfo=MEMINFO))
    assert found.processor == "Tester 9000"
    assert found.instructions == {"avx2": True, "avx512f": True, "avx512_bf16": False, "amx_bf16": True, "amx_int8": False}
    assert (found.memory, found.available) == (16 * GIB, 8 * GIB)
    assert (found.limit, found.quota) == (None, None)


def test_an_arm_processor_is_read_from_its_features(tmp_path):
    root = planted(tmp_path, proc__cpuinfo="processor : 0\nFeatures\t: fp asimd sve aes\n")
    assert machine.instructions(root) == {"neon": True, "sve": True, "bf16": False}


def test_a_machine_without_proc_is_examined_too(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no sysctl either
    found = machine.examine(tmp_path)
    assert found.system == "Darwin arm64"
    assert found.processor
    assert found.usable == found.cores >= 1
    assert found.instructions == {"neon": True}
    assert (found.available, found.limit, found.quota) == (None, None, None)
    assert hardware.describe()["processor"]


def test_a_machine_without_any_facts_is_examined_too(tmp_path, monkeypatch):
    for name in ("sched_getaffinity", "getloadavg", "sysconf"):
        monkeypatch.delattr(os, name, raising=False)
    found = machine.examine(tmp_path)
    assert (found.load, found.memory) == (None, None)


def test_the_limits_of_a_container_are_read_in_version_2(tmp_path):
    root = planted(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/pod/box\n")
    group(root, "pod/box", memory__max="max\n", cpu__max="150000 100000\n")
    group(root, "pod", memory__max=f"{4 * GIB}\n", cpu__max="max 100000\n")
    found = machine.examine(root)
    assert (found.limit, found.quota) == (4 * GIB, 1.5)
    assert found.share == min(1.5, found.usable)


def test_the_limits_of_a_container_are_read_in_version_1(tmp_path):
    root = planted(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n")
    group(root, "memory/box", memory__limit_in_bytes=f"{2 * GIB}\n")
    group(root, "memory", memory__limit_in_bytes="9223372036854771712\n")
    group(root, "cpu/box", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    group(root, "cpu", cpu__cfs_quota_us="200000\n", cpu__cfs_period_us="100000\n")
    found = machine.examine(root)
    assert (found.limit, found.quota) == (2 * GIB, 2.0)


def test_a_limit_above_the_memory_of_the_machine_is_none(tmp_path):
    root = planted(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    group(root, ".", memory__max=f"{64 * GIB}\n")
    assert machine.examine(root).limit is None


# --- threads, compilers, folders


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "3"}, "OMP_NUM_THREADS is 2"),
        ({"MKL_NUM_THREADS": "3"}, "MKL_NUM_THREADS is 3"),
        ({}, "one for each of the 4 usable cores"),
    ],
)
def test_the_number_of_threads_has_a_reason(environment, why):
    assert doctor.threads_why(environment, QUIET) == why


def test_the_compiler_is_the_one_that_is_named_or_else_the_first_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler({}) is None
    for name in ("c++", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_compiler({}) == str(tmp_path / "c++")
    assert find_compiler({"CXX": "mine"}) == str(tmp_path / "mine")
    assert find_compiler({"CXX": "gone"}) is None


def test_an_acceleration_that_is_off_has_a_reason(monkeypatch):
    monkeypatch.setenv("SIMULACRA_MALLOC", "0")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setattr(hardware, "cpu_flags", frozenset)
    rows = doctor.accelerations(torch.device("cpu"))
    off = {name: item["why"] for name, item in rows.items() if not item["on"]}
    assert off["allocator keeps memory"] == "SIMULACRA_MALLOC is 0"
    assert "avx512_bf16" in off["bfloat16"]
    assert "g++" in off["torch.compile"]
    assert off["short waits of threads"] == "GOMP_SPINCOUNT is not set"


def test_a_folder_that_does_not_exist_is_examined_by_its_parent(tmp_path):
    found = doctor.place(tmp_path / "to" / "come", "SIMULACRA_CACHE")
    assert (found["exists"], found["writable"]) == (False, True)
    assert found["free"] > 0
    assert doctor.place(None, "SIMULACRA_DATA")["path"] is None


# --- advice


def advice(threads=1, blind=False, places=PLACES, **facts):
    from dataclasses import replace

    return doctor.advise(replace(QUIET, **facts), threads, places, blind=blind)


def test_a_quiet_machine_with_everything_gets_no_advice():
    assert advice(threads=4) == ()


def test_a_busy_machine_is_advised_one_thread():
    (said,) = advice(threads=4, load=2.0)
    assert "load 2 on 4 cores" in said
    assert "--threads 1" in said


def test_a_free_core_beside_a_busy_one_is_not_called_busy():
    assert advice(threads=1, load=2.0) == ()


def test_a_container_with_less_time_than_threads_is_advised_fewer():
    (said,) = advice(threads=4, quota=1.5)
    assert "1.5 cores" in said
    assert "--threads 2" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"available": GIB}, "1.0 GiB"),
        ({"limit": GIB}, "1.0 GiB"),
        ({"blind": True}, "CUDA build"),
        ({"places": {**PLACES, "cache": {**PLACES["cache"], "writable": False}}}, "SIMULACRA_CACHE"),
        ({"places": {**PLACES, "cache": {**PLACES["cache"], "free": GIB}}}, "SIMULACRA_CACHE"),
        ({"places": {**PLACES, "data": {**PLACES["data"], "exists": False}}}, "/data"),
    ],
)
def test_each_finding_has_its_remedy(changes, said):
    (only,) = advice(**changes)
    assert said in only


# --- output


@pytest.fixture(scope="module")
def found():
    """The findings on this machine, with given speeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speeds, "measure", lambda *_: SPEEDS)
        return doctor.examine(threads=1)


@pytest.mark.parametrize("columns", [40, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(found, columns):
    lines = command.text(found, columns, is_terminal=False).splitlines()
    assert max(map(len, lines)) <= min(columns, 120)
    whole = "".join("".join(lines).split())
    for said in [
        "--threads1",
        "2,459GFLOP/s",
        "17.7GiB/s",
        torch.__version__,
        *found.accelerations["torch.compile"]["why"].split(),
    ]:
        assert said in whole


def test_colours_are_for_terminals_only(found):
    assert "\x1b[" not in command.text(found, 80, is_terminal=False)
    assert "\x1b[" in command.text(found, 80, is_terminal=True)


def test_json_holds_all_of_it(monkeypatch, capsys):
    monkeypatch.setattr(speeds, "measure", lambda *_: SPEEDS)
    assert main(["doctor", "--threads", "1", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert {"machine", "threads", "threads_why", "gpu", "torch", "device", "accelerations"} <= set(table)
    assert {"places", "extras", "speeds", "advice"} <= set(table)
    assert table["threads_why"] == "--threads 1"
    assert set(table["extras"]) == set(optional_extras())


def optional_extras():
    """Return the extras of pyproject.toml for users, with the first package of each."""
    content = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = content["project"]["optional-dependencies"]
    return {name: re.split(r"[<>=!\[]", packages[0])[0] for name, packages in extras.items() if name != "dev"}


def test_extras_are_those_of_the_package():
    assert doctor.extras() == optional_extras()


def test_images_are_held_on_gpus_alone():
    for device in ("cpu", "cuda"):
        rows = doctor.accelerations(torch.device(device)) if device == "cpu" or torch.cuda.is_available() else None
        if rows:
            assert rows["images held on the GPU"]["on"] == (device == "cuda")


def test_measuring_takes_a_second_and_gives_every_rate(monkeypatch):
    monkeypatch.setattr(speeds, "_BUDGET", 0.01)
    began = time.process_time()
    rates = speeds.measure(torch.device("cpu"), torch.float32)
    assert time.process_time() - began < 5
    assert set(rates) == set(SPEEDS)
    assert min(rates.values()) > 0
