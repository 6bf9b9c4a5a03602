"""The profile of a step: its operations are counted, timed, and named by the node of the backward pass that calls them."""

import pytest
import torch
import torch.nn.functional as F
from benchmarks.operations import Counter, Key, Peaks, bytes_of, operations

IMAGES, WEIGHT = torch.randn(4, 3, 8, 8), torch.randn(5, 3, 3, 3)
PEAKS = Peaks({torch.float32: 1e9}, {2**20: 1e9})


def step() -> None:
    weight = WEIGHT.clone().requires_grad_()
    F.relu(F.conv2d(IMAGES, weight)).sum().backward()


@pytest.fixture(scope="module")
def found():
    return operations(step, 2, PEAKS)[0]


def test_forward_and_backward_are_named_apart(found):
    assert {Key("convolution"), Key("relu"), Key("convolution_backward", "ConvolutionBackward0")} <= set(found)


def test_products_have_their_flops_and_least_time(found):
    products = 2 * 4 * 5 * 6 * 6 * 3 * 3 * 3
    assert found[Key("convolution")].flops == products
    assert found[Key("convolution")].limit == products / 1e9
    assert found[Key("convolution_backward", "ConvolutionBackward0")].flops == products  # of the weight alone


def test_other_operations_have_the_time_of_a_copy(found):
    relu = found[Key("relu")]
    assert (relu.kind, relu.moved) == ("memory", 2 * 4 * 5 * 6 * 6 * 4)
    assert relu.limit == relu.moved / 1e9


def test_every_kernel_is_timed(found):
    assert all(operation.seconds > 0 for operation in found.values() if operation.kind != "call")


def test_views_and_allocations_move_nothing():
    with Counter(PEAKS) as counter:
        torch.empty(4).view(2, 2).t()
    assert {operation.kind for operation in counter.found.values()} == {"call"}


def test_broadcast_dimensions_count_once():
    assert bytes_of(torch.ones(5, 1).expand(5, 7)) == 5 * 4
