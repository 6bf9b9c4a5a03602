"""Work that processes share."""

from typing import Any

import pytest
import torch
from tests.processes import together
from torch import Tensor

from simulacra.core.errors import DataError, SimulacraError
from simulacra.core.launch import alone, launched
from simulacra.engine.distributed.processes import Abandoned
from simulacra.engine.distributed.shared_work import chunks_of, in_parts, sharing, sharing_processes


def squares(count: int, computed: list[int]) -> list[tuple[int, list[int], bool]]:
    """Return the squares of the numbers in every chunk, and note which chunks this process computes."""

    def square(chunk: range) -> dict[str, Tensor]:
        assert launched().count == 1, "a chunk is computed alone"
        computed.append(chunk.start)
        numbers = torch.tensor(list(chunk))
        return {"squares": numbers**2, **({} if chunk.start else {"first": torch.tensor(True)})}

    parts = in_parts(chunks_of(count, 2), square)
    return [(chunk.start, found["squares"].tolist(), "first" in found) for chunk, found in parts]


EXPECTED = [(0, [0, 1], True), (2, [4, 9], False), (4, [16], False)]


def test_one_process_computes_every_chunk_when_it_is_asked_for() -> None:
    computed: list[int] = []
    assert squares(5, computed) == EXPECTED
    assert computed == [0, 2, 4]
    lazily = in_parts(chunks_of(5, 2), lambda chunk: {"start": torch.tensor(chunk.start)})
    assert next(lazily)[0] == range(2)
    with sharing() as processes:
        assert processes.count == 1
        assert processes.from_first(lambda: {1, 2}) == {1, 2}, "nothing is converted"
        processes.require_same(object(), "anything", "")


def test_a_process_can_compute_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert not launched().first
    with alone(), sharing() as processes:
        assert (launched().count, processes.count) == (1, 1)
    assert launched().count == 2


def failing(rank: int) -> list[str]:
    """Return the errors of this process where that of a rank fails: with a chunk, in the first alone, with another value."""

    def compute(chunk: range) -> dict[str, Tensor]:
        if chunk.start == rank:
            raise DataError("the image is damaged")
        return {}

    messages = []
    with sharing() as processes:
        for work in (
            lambda: list(in_parts(chunks_of(2, 1), compute)),
            lambda: processes.require_same(processes.rank == rank, "weights", "use the same"),
        ):
            try:
                work()
            except SimulacraError as error:
                messages.append(f"{type(error).__name__}: {error}")
    return messages


def shared() -> list[Any]:
    """Share work several times, with and without more chunks than processes; return the results."""
    found = list[Any]()
    for count in (5, 1, 0):
        with sharing() as processes, sharing() as same:
            computed: list[int] = []
            assert same is processes is sharing_processes()
            found.append((squares(count, computed), computed))
    with sharing() as processes:
        found.append(processes.from_first(lambda: {"rank": launched().rank, "count": launched().count, "none": None}))
        found.append([part.decode() for part in processes.share(lambda: b"x" * processes.rank)])
    assert sharing_processes().count == 1
    return found


@pytest.mark.long
def test_two_processes_compute_every_other_chunk_and_get_all() -> None:
    first, second = together(shared)
    assert [item[0] for item in first[:3]] == [item[0] for item in second[:3]] == [EXPECTED, [(0, [0], True)], []]
    assert [item[1] for item in first[:3]] == [[0, 4], [0], []]
    assert [item[1] for item in second[:3]] == [[2], [], []]
    assert first[3:] == second[3:] == [{"rank": 0, "count": 1, "none": None}, ["", "x"]]


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_process_is_one_of_all(rank: int) -> None:
    messages = together(failing, rank)
    assert messages[rank][0] == "DataError: the image is damaged"
    assert messages[1 - rank][0] == f"{Abandoned.__name__}: process {rank} failed: see its error message"
    differ = "SimulacraError: process 1 has other weights than the first process: use the same"
    assert [each[1] for each in messages] == [differ, differ]
