"""Training speed of diffusers on the same U-Net: the loop of its guide to training, with accelerate, as the guide has it.

Run by `training.py --peers` in an environment of its own; prints one line of JSON. As documented: eager float32, AdamW, clipped
gradients, a DataLoader over floats in memory; the loss is read at every step, as the guide's progress bar does. Reduced precision
and compilation are settings of accelerate.
"""

import json

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from arguments import parse
from diffusers import DDPMScheduler
from diffusers_net import unet
from stopwatch import Stopwatch, random_images


def main() -> None:
    parsed = parse()
    torch.set_num_threads(parsed.threads)
    watch = Stopwatch(parsed.batch, parsed.steps, parsed.warm)
    floats = torch.from_numpy(random_images(parsed.images).transpose(0, 3, 1, 2)) / 127.5 - 1
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(floats), parsed.batch, shuffle=True, drop_last=True)
    network, scheduler = unet(), DDPMScheduler(num_train_timesteps=1000)
    if parsed.channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=parsed.fused or None)
    mixed = "bf16" if parsed.precision == "bfloat16" else "no"
    accelerator = Accelerator(cpu=True, mixed_precision=mixed, dynamo_backend="inductor" if parsed.compile else "no")
    network, optimizer, loader = accelerator.prepare(network, optimizer, loader)
    while not watch.finished:
        for (images,) in loader:
            step(accelerator, network, scheduler, optimizer, images)
            watch.tick()
            if watch.finished:
                break
    print(json.dumps(watch.result()))


def step(accelerator, network, scheduler, optimizer, images) -> float:
    noise = torch.randn_like(images)
    times = torch.randint(0, 1000, (len(images),))
    noisy = scheduler.add_noise(images, noise, times)
    loss = F.mse_loss(network(noisy, times, return_dict=False)[0], noise)
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


if __name__ == "__main__":
    main()
