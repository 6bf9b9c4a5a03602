"""Every family on a GPU: the losses and images of the CPU, checkpoints that move between devices, and reproducible sampling.

Run with `pytest -m gpu`. SIMULACRA_TEST_DEVICE=cpu runs the same tests on a CPU, which tests the tests.
"""

import os
from pathlib import Path

import pytest
import torch
from tests.engine.gpu_cases import Case, exact_float32, largest_difference, three_losses, trainer_of

from simulacra import families
from simulacra.core.capabilities import Samples
from simulacra.core.device import images_per_call, model_device
from simulacra.core.randomness import noise, reseed, stream
from simulacra.engine import checkpoint

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]

CHOSEN = [name for name in os.environ.get("SIMULACRA_TEST_FAMILIES", ",".join(families.names())).split(",") if name]
CPU = torch.device("cpu")
FLOAT32, BFLOAT16 = 2e-3, 6e-2  # loss after three steps: sums in another order, and 8 bits of mantissa
IMAGES = 2e-3  # sampled images in [0, 1]: at most 20 evaluations of a float32 network


@pytest.fixture(autouse=True)
def no_tf32() -> None:
    exact_float32()


@pytest.fixture
def device() -> torch.device:
    found = torch.device(os.environ.get("SIMULACRA_TEST_DEVICE", "cuda"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    return found


def case(family: str) -> Case:
    return Case(family, preset="small" if family == "cyclegan" else "", batch=8)


@pytest.mark.parametrize("family", CHOSEN)
def test_three_steps_have_the_losses_of_the_cpu(family: str, device: torch.device) -> None:
    expected = three_losses(case(family), CPU, "float32")
    assert largest_difference(expected, three_losses(case(family), device, "float32")) <= FLOAT32
    assert largest_difference(expected, three_losses(case(family), device, "bfloat16")) <= BFLOAT16


@pytest.mark.parametrize("family", [name for name in CHOSEN if issubclass(families.find(name), Samples)])
@torch.inference_mode()
def test_images_are_those_of_the_cpu_for_any_number_of_images(family: str, device: torch.device) -> None:
    model = trainer_of(case(family), CPU, precision="float32").family.eval()
    assert isinstance(model, Samples)
    drawn = noise(3, 0, 24, model.noise_shape)
    expected = model.generate(drawn[:4])
    model.to(device)
    assert model_device(model).type == device.type
    few, many = (model.generate(part.to(device)).cpu() for part in (drawn[:4], drawn))
    torch.testing.assert_close(few, expected, rtol=0, atol=IMAGES)
    torch.testing.assert_close(many[:4], few, rtol=0, atol=IMAGES)
    again = model.generate(drawn[:4].to(device)).cpu()
    torch.testing.assert_close(again, few, rtol=0, atol=0 if device.type == "cpu" else 1e-5)  # cuDNN may add in a varying order


@pytest.mark.parametrize("family", CHOSEN)
def test_a_checkpoint_moves_between_devices_without_changes(family: str, device: torch.device, tmp_path: Path) -> None:
    first, second, third = (trainer_of(case(family), where, precision="float32") for where in (device, CPU, device))
    for _ in range(2):
        first.play()
    checkpoint.write(tmp_path, first.step, first.state(), keep=1)
    stored, _ = checkpoint.read_newest(tmp_path)
    for trainer in (second, third):
        trainer.restore(stored)
        again = trainer.state()
        assert again.facts["step"] == 2
        for group, tensors in stored.tensors.items():
            assert all(torch.equal(again.tensors[group][name].cpu(), tensor) for name, tensor in tensors.items())
    for trainer in (first, second, third):
        trainer.play()
        trainer.report()  # raises for a loss that is not finite


@pytest.mark.parametrize("family", [name for name in CHOSEN if name in ("vae", "dcgan", "diffusion")])
def test_a_resumed_training_follows_one_that_was_not_interrupted(family: str, device: torch.device) -> None:
    straight, resumed = (trainer_of(case(family), device, precision="float32", lr=1e-3) for _ in range(2))
    for _ in range(2):
        straight.play()
    resumed.restore(straight.state())
    for trainer in (straight, resumed):
        trainer.play()
        trainer.play()
    for one, other in zip(straight.family.parameters(), resumed.family.parameters(), strict=True):
        # Some kernels of cuDNN add in a varying order; Adam turns that into at most two steps of the learning rate.
        torch.testing.assert_close(other, one, rtol=0, atol=0 if device.type == "cpu" else 2e-3 * 2)


def test_a_stream_leaves_the_generators_of_the_device_unchanged(device: torch.device) -> None:
    reseed(5, "test")
    expected = torch.rand(3, device=device)
    reseed(5, "test")
    with stream(6, "other"):
        torch.rand(7, device=device)
    assert torch.equal(torch.rand(3, device=device), expected)


def test_images_per_call_is_a_power_of_two_that_depends_on_the_card(device: torch.device) -> None:
    if device.type == "cpu":
        assert images_per_call(device, 784, 250) == 250
        return
    counts = [images_per_call(device, values, 250) for values in (784, 3 * 64 * 64, 3 * 512 * 512, 2**40)]
    assert counts == sorted(counts, reverse=True)
    assert all(count & (count - 1) == 0 for count in counts)
    assert counts[-1] == 1
