"""Chapter 8: Fréchet distance of samples by the number of network evaluations, and the time for each image."""

import time

import torch
from chart import Axis, lines
from measures import data, frechet, save_grid
from torch import Tensor
from trained import diffusion_mnist, gan_mnist, vae_mnist

import simulacra

IMAGES = 150
STEPS = {"dpmpp-2m": (2, 5, 10, 20), "ddim": (2, 5, 10)}
torch.set_num_threads(1)


def timed(model: simulacra.Model, **settings: object) -> tuple[Tensor, float]:
    """Return images of a model and the seconds for each of them."""
    started = time.perf_counter()
    images = model.sample(IMAGES, **settings)
    return images, (time.perf_counter() - started) / IMAGES


def main() -> None:
    """Print and draw the distances, and save the first images of each number of steps."""
    model = diffusion_mnist()
    floor = frechet(data("mnist").train.head(IMAGES).images, "mnist").value
    print(f"{IMAGES} training images: Fréchet distance {floor:.2f}")
    one_pass = {}
    for name, other in (("VAE", vae_mnist()), ("GAN", gan_mnist())):
        images, seconds = timed(other)
        one_pass[name] = frechet(images, "mnist").value
        print(f"{name}: one evaluation, Fréchet distance {one_pass[name]:.2f}, {1000 * seconds:.2f} ms for each image")
    series: dict[str, list[tuple[float, float]]] = {}
    rows = []
    for sampler, counts in STEPS.items():
        series[sampler] = []
        for steps in counts:
            images, seconds = timed(model, plan=model.plan(sampler, steps, precision="float32"))
            distance = frechet(images, "mnist")
            series[sampler].append((steps, distance.value))
            text = f"Fréchet distance {distance.value:.2f} +- {distance.standard_error:.2f}"
            print(f"{sampler}, {steps} evaluations: {text}, {1000 * seconds:.1f} ms for each image", flush=True)
            if sampler == "dpmpp-2m":
                rows.append(images[:12])
    ticks = STEPS["dpmpp-2m"]
    ends = (ticks[0], ticks[-1])
    drawn = {"DPM-Solver++(2M)": series["dpmpp-2m"], "DDIM": series["ddim"]}
    drawn |= {f"{name}, one evaluation": [(end, value) for end in ends] for name, value in one_pass.items()}
    drawn["training images"] = [(end, floor) for end in ends]
    x = Axis("network evaluations for each image (logarithmic)", *ends, ticks, log=True)
    y = Axis("Fréchet distance (logarithmic)", 1, 200, (1, 2, 5, 10, 20, 50, 100, 200), log=True)
    lines("course-diffusion-steps", f"Distance of {IMAGES} samples from the test images of MNIST", drawn, x, y)
    save_grid("course-diffusion-steps", rows)


main()
