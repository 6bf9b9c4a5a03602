"""Sampling speed of diffusers on the same U-Net, untrained, by its own samplers; as documented, in eager float32.

Run by `sampling.py` in an environment of its own; prints one line of JSON. Of DDPM's 1000 steps only the first are timed.
"""

import argparse
import json

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from diffusers_net import unet
from stopwatch import Clock, memory_mib, memory_since


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sampler", choices=("dpmpp-2m", "ddpm"))
    for name in ("steps", "timed", "images", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the weights, too")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    start = memory_mib("VmRSS")
    network, kind = tuned_network(parsed), DDPMScheduler if parsed.sampler == "ddpm" else DPMSolverMultistepScheduler
    with torch.inference_mode():
        walk(network, kind(), parsed.steps, 3, parsed.batch)
        clock = Clock()
        for _ in range(parsed.images // parsed.batch):
            walk(network, kind(), parsed.steps, parsed.timed, parsed.batch)
        rates = clock.rates(parsed.images // parsed.batch * parsed.batch * parsed.timed / parsed.steps)
    print(json.dumps({**rates, **memory_since(start)}))


def tuned_network(parsed):
    network = unet().eval().to(getattr(torch, parsed.precision))
    if parsed.channels_last:
        network.to(memory_format=torch.channels_last)
    if parsed.compile:
        network.compile()
    return network


def walk(network, scheduler, steps: int, timed: int, batch: int) -> None:
    scheduler.set_timesteps(steps)
    noisy = torch.randn(batch, 1, 28, 28, dtype=network.dtype)
    for moment in scheduler.timesteps[:timed]:
        noisy = scheduler.step(network(noisy, moment).sample, moment, noisy).prev_sample


if __name__ == "__main__":
    main()
