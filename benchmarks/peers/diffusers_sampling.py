"""Sampling speed of diffusers on the same U-Net, untrained: eager float32, by its own samplers.

Run by `sampling.py` in an environment of its own; prints one line of JSON. Of DDPM's 1000 steps only the first are timed.
"""

import argparse
import json
import time

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from diffusers_net import unet
from stopwatch import memory_mib


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sampler", choices=("dpmpp-2m", "ddpm"))
    for name in ("steps", "timed", "images", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int)
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    start = memory_mib("VmRSS")
    network, kind = unet().eval(), DDPMScheduler if parsed.sampler == "ddpm" else DPMSolverMultistepScheduler
    with torch.inference_mode():
        walk(network, kind(), parsed.steps, 3, parsed.batch)
        began = time.perf_counter()
        for _ in range(parsed.images // parsed.batch):
            walk(network, kind(), parsed.steps, parsed.timed, parsed.batch)
        seconds = time.perf_counter() - began
    rate = parsed.images // parsed.batch * parsed.batch * parsed.timed / seconds
    peak = memory_mib("VmHWM")
    print(json.dumps({"images_per_second": rate, "peak_mib": peak, "above_start_mib": peak - start}))


def walk(network, scheduler, steps: int, timed: int, batch: int) -> None:
    scheduler.set_timesteps(steps)
    noisy = torch.randn(batch, 1, 28, 28)
    for moment in scheduler.timesteps[:timed]:
        noisy = scheduler.step(network(noisy, moment).sample, moment, noisy).prev_sample


if __name__ == "__main__":
    main()
