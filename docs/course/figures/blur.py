"""Chapters 4 and 6: sharpness of the samples of a VAE and a GAN, and what a squared error measures."""

import torch
import torch.nn.functional as F
from chart import bars
from measures import features, frechet, held_out, save_grid, sharpness, standard_error
from torch import Tensor
from trained import gan_mnist, vae_mnist


def samples() -> None:
    """Compare the gradient energy of samples with that of real images."""
    real = held_out("mnist")
    vae = vae_mnist()
    sets = {
        "VAE: reconstructions": vae.reconstruct(real),
        "VAE: samples": vae.sample(10_000),
        "GAN: samples": gan_mnist().sample(10_000),
    }
    ratios, energy = {}, sharpness(real)
    print(f"real images: gradient energy {energy.mean():.1f} +- {standard_error(energy):.1f}")
    for name, images in sets.items():
        found, distance = sharpness(images), frechet(images, "mnist")
        ratios[name] = (found.mean() / energy.mean()).item()
        print(
            f"{name}: gradient energy {found.mean():.1f} +- {standard_error(found):.1f}, {ratios[name]:.3f} of real images; "
            f"Fréchet distance {distance.value:.2f} +- {distance.standard_error:.2f}"
        )
    title = "Gradient energy in relation to real images, 10,000 images each"
    bars("course-blur", title, ratios, "1 is as sharp as real images", ("real images", 1.0))
    save_grid("course-blur", [real[:12], *(images[:12] for images in list(sets.values())[1:])])


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Return images convolved with a Gaussian of this standard deviation in pixels."""
    offsets = torch.arange(-4.0, 5.0)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    across = F.conv2d(images, kernel.reshape(1, 1, 1, -1), padding=(0, 4))
    return F.conv2d(across, kernel.reshape(1, 1, -1, 1), padding=(4, 0))


def errors() -> None:
    """Compare two changes of an image, a shift by one pixel and a blur, in pixels and in features of a classifier."""
    real = held_out("mnist", 2000)
    original = features(real, "mnist")
    changed = {"shift": torch.roll(real, 1, dims=3), "blur": blurred(real, 1.0)}
    for name, images in changed.items():
        mse = (images - real).square().flatten(1).mean(1)
        apart = (features(images, "mnist") - original).square().sum(1)
        print(
            f"{name}: MSE {mse.mean():.4f} +- {standard_error(mse):.4f}; squared distance in features {apart.mean():.2f} "
            f"+- {standard_error(apart):.2f}; Fréchet distance {frechet(images, 'mnist').value:.2f}; "
            f"gradient energy {(sharpness(images).mean() / sharpness(real).mean()):.3f} of the originals"
        )
    save_grid("course-errors", [real[:12], *(images[:12] for images in changed.values())])


samples()
errors()
