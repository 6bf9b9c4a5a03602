"""Peak memory and time of the feature metrics, each in a process of its own.

    python benchmarks/metrics.py [--images 10000] [--dimensions 128] [--threads 1] [--only precision]

Features are random normal float32, as many generated as real ones: two matrices [images dimensions], whose size is part of the
peak, and is shown. The bound to keep is 4 GiB at 50,000 against 50,000 in 2,048 dimensions.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from simulacra.core.progress import SILENT, Meter
from simulacra.metrics.diversity import diversity
from simulacra.metrics.statistics.frechet import frechet_distance
from simulacra.metrics.statistics.kernel import kernel_distance
from simulacra.metrics.statistics.moments import blocked_moments
from simulacra.metrics.statistics.nearest_training import memorization
from simulacra.metrics.statistics.neighbourhoods import neighbourhoods

GIB = 2**30

MEASURES: dict[str, Callable[[Tensor, Tensor, Meter], object]] = {
    "frechet_distance": lambda fake, real, meter: frechet_distance(blocked_moments(fake), blocked_moments(real), meter),
    "kernel_distance": lambda fake, real, meter: kernel_distance(fake, real, 0, meter),
    "precision, recall, density, coverage": neighbourhoods,
    "diversity": diversity,
    "nearest_train_ratio": lambda fake, real, meter: memorization(fake, real, fake[:10_000], 0, meter),
}


def measure(name: str, images: int, dimensions: int, threads: int) -> dict[str, float]:
    """Return what one measure costs: seconds of wall clock and of processor, peak memory of the process."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.randn(images, dimensions, generator=generator) for _ in range(2))
    wall, processor = time.perf_counter(), time.process_time()
    with SILENT.task("", None, "") as meter:
        MEASURES[name](fake, real, meter)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "peak": peak / GIB}


def apart(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Measure in a process of its own."""
    sizes = [f"--{key}={getattr(arguments, key)}" for key in ("images", "dimensions", "threads")]
    done = subprocess.run([sys.executable, __file__, f"--one={name}", *sizes], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="measures whose name contains this")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.images, arguments.dimensions, arguments.threads)))
        return
    held = 2 * arguments.images * arguments.dimensions * 4 / GIB
    sizes = f"{arguments.images:,} against {arguments.images:,} in {arguments.dimensions:,} dimensions ({held:.2f} GiB)"
    print(f"{sizes}, threads: {arguments.threads}")
    print("| measure | wall, s | processor, s | peak memory of the process, GiB |\n|---|---|---|---|")
    for name in MEASURES:
        if arguments.only in name:
            found = apart(name, arguments)
            print(f"| {name} | {found['wall']:.1f} | {found['processor']:.1f} | {found['peak']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
