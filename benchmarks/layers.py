"""What a way of ours to compute a layer gives to whole steps: PyTorch's way and ours, in turns, within one process.

    python benchmarks/layers.py [--what flattening] [--family dcgan] [--preset NAME] [--batch 128] [--rounds 40] [--threads 1]
                                [--side 28] [--channels 1] [--clock wall]

--what flattening: features and their gradients stay in one memory layout; products: the gradient of a weight is a product of
matrices where that is faster; asked: only those gradients of weights are computed that a pass asks for; gradients: both of these;
squares: transposed convolutions to few channels are convolutions onto 2x2 squares; instances: one image is normalized by batch
norm; kernels: products, squares and instances.
Every round plays one step of the engine in either way, on the same weights. Reported is the median of the ratios within the
rounds, and between which values the middle half of them lies.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch
import variants
from torch import nn

from simulacra.data.load import from_array
from simulacra.engine import hardware
from simulacra.engine.loop import Trainer
from simulacra.networks import cyclegan
from simulacra.networks.kernels import convolution
from simulacra.networks.kernels import memory_layout as layout
from simulacra.networks.kernels import transposed_convolution as adjoint
from simulacra.networks.kernels.normalization import group_norm

WARM = 2  # rounds that are not counted
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=STOCK, default="flattening")
    parser.add_argument("--family", default="dcgan")
    parser.add_argument("--preset", default="")
    for name, value in (("batch", 128), ("rounds", 40), ("threads", 1), ("side", 28), ("channels", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this thread, for a machine that others use")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    hardware.keep_memory()
    case = variants.Case(parsed.family, parsed.preset, side=parsed.side, channels=parsed.channels)
    training = in_training(case, parsed.batch)
    sides = {"stock": STOCK[parsed.what], "ours": ExitStack}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(WARM + parsed.rounds):
        for name, side in sides.items():
            times[name].append(step(training, side(), CLOCKS[parsed.clock]))
    ratios = [theirs / ours for theirs, ours in zip(*(times[name][WARM:] for name in ("stock", "ours")), strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{parsed.what}: {parsed.family} {parsed.preset} in {training.precision}, batch {parsed.batch}; {hardware.describe()}")
    for name, seconds in times.items():
        print(f"{name}: {1e3 * statistics.median(seconds):.1f} ms a step")
    print(f"ours is {middle:.2f} times as fast ({low:.2f} to {high:.2f})")


def in_training(case: variants.Case, batch: int) -> Trainer:
    torch.manual_seed(0)
    data = from_array(case.images(8 * batch), validation=0.0, name="random")
    family = case.family(data)
    return Trainer(
        family, case.batch_source(family, data, batch), case.config(batch=batch, duration="1000000", device="cpu").train
    )


def flattening() -> AbstractContextManager[object]:
    """Inside, gradients behind a flattening and features behind its reverse come in the default layout."""
    return all_of(
        mock.patch.object(layout._ChannelsLastGradient, "apply", lambda features: features),
        mock.patch.object(layout.Unflatten, "forward", nn.Unflatten.forward),
    )


def products() -> AbstractContextManager[object]:
    """Inside, all gradients of weights come from PyTorch's kernels."""
    return mock.patch.multiple(convolution, _MAX_PRODUCT_WIDTH=0, _WIDE_DTYPES=())


def squares() -> AbstractContextManager[object]:
    """Inside, transposed convolutions of stride 2 run forward in PyTorch's kernel, for any number of output channels."""
    return mock.patch.object(adjoint, "_PHASE_DTYPES", ())


def instances() -> AbstractContextManager[object]:
    """Inside, a single image is normalized as several are."""
    return mock.patch.object(cyclegan.InstanceNorm, "forward", lambda self, features: group_norm(features, features.shape[1]))


def kernels() -> AbstractContextManager[object]:
    return all_of(products(), squares(), instances())


def asked() -> AbstractContextManager[object]:
    """Inside, our own functions compute every gradient that could be asked for."""
    return all_of(*(mock.patch.object(module, "requested_gradients", possible) for module in (adjoint, convolution)))


def possible(ctx, count: int) -> list[bool]:
    return list(ctx.needs_input_grad[:count])


def gradients() -> AbstractContextManager[object]:
    return all_of(products(), asked())


def all_of(*contexts: AbstractContextManager[object]) -> AbstractContextManager[object]:
    inside = ExitStack()
    for context in contexts:
        inside.enter_context(context)
    return inside


STOCK = {  # each way of PyTorch's
    **{"flattening": flattening, "products": products, "asked": asked, "gradients": gradients},
    **{"squares": squares, "instances": instances, "kernels": kernels},
}


def step(training: Trainer, side: AbstractContextManager[object], clock: Callable[[], float]) -> float:
    with side:
        began = clock()
        training.play()
        return clock() - began


if __name__ == "__main__":
    main()
