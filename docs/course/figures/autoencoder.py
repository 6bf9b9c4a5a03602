"""Chapter 1: reconstruction error by latent dimension beside PCA, and what random latents decode to."""

import torch
from chart import Axis, bars, lines
from measures import confidence, data, frechet, held_out, save_grid, standard_error
from trained import autoencoder_mnist, trained


def reconstruction_error() -> None:
    """Draw the error on the digits for several latent dimensions, of autoencoders and of PCA."""
    train, test = (split.head(2000).images.flatten(1) for split in (data("digits").train, data("digits").test))
    mean = train.mean(0)
    components = torch.linalg.svd(train - mean, full_matrices=False).Vh
    neural, linear = [], []
    for size in (2, 4, 8, 16, 32):
        settings = {"data": "digits", "network": "dense", "hidden": (128,), "duration": "100ep", "batch": 64, "lr": 3e-3}
        model = trained(f"autoencoder-digits-{size}", "autoencoder", latent_dim=size, **settings)
        images = held_out("digits")
        errors = (model.reconstruct(images) - images).square().flatten(1).mean(1)
        kept = mean + (test - mean) @ components[:size].T @ components[:size]
        neural.append((size, errors.mean().item()))
        linear.append((size, (kept - test).square().mean().item()))
        print(f"{size} latents: MSE {neural[-1][1]:.4f} +- {standard_error(errors):.4f}, PCA {linear[-1][1]:.4f}")
    x = Axis("number of latents (logarithmic)", 2, 32, (2, 4, 8, 16, 32), log=True)
    y = Axis("mean squared error per pixel", 0, 0.06, (0, 0.02, 0.04, 0.06))
    series = {"PCA": linear, "autoencoder, 128 hidden units": neural}
    lines("course-autoencoder-error", "Reconstruction error on 297 test digits", series, x, y)


def random_latents() -> None:
    """Decode latents of test images, and latents drawn from a normal distribution of their mean and standard deviation."""
    model = autoencoder_mnist("dense", epochs=5)
    images = held_out("mnist")
    latents = model.encode(data("mnist").train.head(10_000).images)
    drawn = torch.randn(10_000, latents.shape[1], generator=torch.Generator().manual_seed(0))
    sets = {
        "test images": images,
        "their reconstructions": model.reconstruct(images),
        "random latents, decoded": model.decode(latents.mean(0) + latents.std(0) * drawn),
    }
    shares = {}
    for name, found in sets.items():
        sure = confidence(found, "mnist") > 0.99
        distance = 0.0 if found is images else frechet(found, "mnist").value
        shares[name] = 100 * sure.float().mean().item()
        print(f"{name}: {shares[name]:.1f} % recognized with probability above 0.99; Fréchet distance {distance:.2f}")
    title = "Images that a digit classifier recognizes with probability above 0.99"
    bars("course-autoencoder-confidence", title, shares, "% of 10,000 images")
    save_grid("course-autoencoder-random", [found[:12] for found in sets.values()])


reconstruction_error()
random_latents()
