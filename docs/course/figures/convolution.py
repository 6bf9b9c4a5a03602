"""Chapter 2: error of dense and convolutional autoencoders on shifted test images, and the sharpness of reconstructions."""

import torch
from chart import Axis, lines
from measures import held_out, save_grid, sharpness
from trained import autoencoder_mnist

MODELS = {"dense": autoencoder_mnist("dense", epochs=1), "convolutional": autoencoder_mnist("conv", epochs=1)}
SHIFTS = (0, 1, 2, 3, 4)

images = held_out("mnist", 2000)
series: dict[str, list[tuple[float, float]]] = {}
for name, model in MODELS.items():
    networks = (model.module.encoder, model.module.decoder)
    weights = sum(value.numel() for network in networks for value in network.parameters())
    series[name] = []
    for shift in SHIFTS:
        moved = torch.roll(images, shift, dims=3)  # the borders of MNIST images are black
        error = (model.reconstruct(moved) - moved).square().mean().item()
        series[name].append((shift, error))
    ratio = (sharpness(model.reconstruct(images)).mean() / sharpness(images).mean()).item()
    errors = ", ".join(f"{error:.4f}" for _, error in series[name])
    print(f"{name}: {weights:,} parameters; MSE at shifts of {SHIFTS}: {errors}; gradient energy {ratio:.3f} of them")
labels = {f"{name} autoencoder": pairs for name, pairs in series.items()}
x = Axis("shift to the right, pixels", 0, 4, SHIFTS)
y = Axis("mean squared error per pixel", 0, 0.06, (0, 0.02, 0.04, 0.06))
lines("course-convolution-shift", "Error on shifted images, 2,000 test images of MNIST", labels, x, y, legend="bottom")
moved = torch.roll(images[:12], 3, dims=3)
save_grid("course-convolution-shift", [moved, *(model.reconstruct(moved) for model in MODELS.values())])
