# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # VAE/GAN
#
# A variational autoencoder whose decoder is also the generator of a GAN, and which compares images in the features of the
# discriminator instead of pixels (Larsen et al. 2016). This notebook trains it, writes the training of its three players from
# scratch in plain PyTorch, with the same losses and weights as the toolkit's, and shows the effect of wrong weights of the two
# losses of the decoder. Prerequisites: the notebooks *vae* and *gan*. Definitions and settings: the page *VAE/GAN* of the
# documentation (`docs/families/vae_gan.md`).

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import simulacra

DATA, STEPS = "digits", 110  # MNIST: "mnist", 3000
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The handwritten digits of scikit-learn, 8x8 pixels.

# %%
dataset = simulacra.load_data(DATA)
dataset

# %% [markdown]
# ## The model in ten lines

# %%
SETTINGS = {
    "features": [16, 32],
    "hidden": [64],
    "discriminator_features": [16, 32],
    "latent_dim": 8,
    "seed": 0,
}
TRAINING = {"data": DATA, "batch": 32, "lr": 4e-3, "ema": 0.95, "beta": 2}
model = simulacra.train(
    "vae_gan",
    **TRAINING,
    **SETTINGS,
    duration=f"{STEPS}",
    snapshots=2,
    log_every=10,
    out=f"{RUNS}/model",
)

# %% [markdown]
# Samples of the prior:

# %%
simulacra.image_grid(model.sample(20, seed=0), 10)

# %% [markdown]
# Unlike a GAN, the model has an encoder. Images of the validation set (row 1) and their reconstructions (row 2):

# %%
images = dataset.validation.head(10).images
simulacra.image_grid(torch.cat([images, model.reconstruct(images)]), 10)

# %% [markdown]
# ## From scratch
#
# **Networks.** The encoder computes the mean and the log-variance of $q(z \mid x)$, the decoder $G(z)$ an image, and the
# discriminator a logit and the features $D_l(x)$ of its first layer. Convolutions of stride 2 with 3x3 kernels are padded at
# the bottom and the right; their transposed counterparts crop there.


# %%
class Crop(nn.Module):
    """Remove the last row and the last column of images."""

    def forward(self, images: Tensor) -> Tensor:
        """Return [b c h-1 w-1] of [b c h w]."""
        return images[:, :, :-1, :-1]


class Rescale(nn.Module):
    """Rescale images from [0, 1] to [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return 2 * images - 1."""
        return 2 * images - 1


channels, side, _ = dataset.spec.shape
bottom = side // 4  # for sides that 4 divides
pad, first_maps, second_maps = nn.ZeroPad2d((0, 1, 0, 1)), (channels, 16), (16, 32)
encoder = nn.ModuleDict(
    {
        "body": nn.Sequential(
            *(pad, nn.Conv2d(*first_maps, 3, stride=2), nn.ReLU()),
            *(pad, nn.Conv2d(*second_maps, 3, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * bottom**2, 64), nn.ReLU()),
        ),
        "mean": nn.Linear(64, 8),
        "log_var": nn.Linear(64, 8),
    }
)
decoder = nn.Sequential(
    *(nn.Linear(8, 32 * bottom**2), nn.Unflatten(1, (32, bottom, bottom))),
    *(nn.ConvTranspose2d(32, 32, 3, stride=2), Crop(), nn.ReLU()),
    *(nn.ConvTranspose2d(32, 16, 3, stride=2), Crop(), nn.ReLU()),
    *(nn.ConvTranspose2d(16, channels, 3, padding=1), nn.Sigmoid()),
)
discriminator = nn.Sequential(
    *(Rescale(), nn.Conv2d(*first_maps, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
    *(nn.Conv2d(*second_maps, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
    *(nn.Flatten(), nn.Linear(32 * bottom**2, 1)),
)
LAYER = 3  # the modules of the discriminator up to its first layer

# %% [markdown]
# **Losses.** With the reconstruction $\tilde x = G(z)$ of $z = \mu(x) + \sigma(x)\, \varepsilon$, $\varepsilon \sim \mathcal
# N(0, I)$, and a sample $x_p = G(z_p)$ of the prior, $z_p \sim \mathcal N(0, I)$ (Larsen et al. 2016, eqs. 5, 7 and 8):
#
# $$\mathcal L_{\text{prior}} = \tfrac12 \sum_j \bigl(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\bigr), \qquad
#   \mathcal L_{\text{like}} = \frac{1}{2 s^2} \bigl\lVert D_l(x) - D_l(\tilde x) \bigr\rVert^2 .$$
#
# $s^2$ is the variance of the features of real images, over images and pixels, averaged over the feature maps. It is a
# constant: no gradient passes through it.


# %%
def rate(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return the KL divergence of q(z|x) from the prior in nats, summed over latents, a mean over images."""
    return 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1).mean()


def feature_reconstruction(real: Tensor, fake: Tensor) -> Tensor:
    """Return half the squared distance of features [b c h w] in units of their variance, a mean over images."""
    variance = real.detach().var((0, 2, 3), unbiased=False).mean()
    return 0.5 * (real - fake).square().sum((1, 2, 3)).mean() / variance


# %% [markdown]
# **The three players** (their algorithm 1) minimize
#
# | player | loss |
# |---|---|
# | encoder | $\beta\, \mathcal L_{\text{prior}} + \mathcal L_{\text{like}}$ |
# | decoder | $\gamma\, \mathcal L_{\text{like}} - \tfrac12 \log D(\tilde x) - \tfrac12 \log D(x_p)$ |
# | discriminator | $-\log D(x) - \tfrac12 \log\bigl(1 - D(\tilde x)\bigr) - \tfrac12 \log\bigl(1 - D(x_p)\bigr)$ |
#
# All three losses are computed from the same images, and each is differentiated with respect to its own player only
# (`inputs=`). The discriminator therefore cannot reduce $\mathcal L_{\text{like}}$ by making its features constant, and the
# encoder does not minimize the adversarial loss.

# %%
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches

EXACT = {
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "batch": 32,
    "lr": 1e-3,
}
BETA, GAMMA, CHECKED = 2.0, 0.05, 10  # the weights of the losses, and the number of steps


def copy_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all parameters and buffers of a module into one of the same structure, by their order."""
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))


players = {"encoder": encoder, "decoder": decoder, "discriminator": discriminator}
first = simulacra.untrained("vae_gan", dataset=dataset, **SETTINGS)
for name, player in players.items():
    copy_weights(player, getattr(first, name))
adams = {
    name: torch.optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for name, player in players.items()
}
batches = Batches(dataset.train, 32, seed=0)

# %%
losses = []
for step in range(CHECKED):
    images = batches.batch(step).images
    reseed(0, "step", step, 0, 0, 0)
    hidden = encoder["body"](images)
    mean, log_var = encoder["mean"](hidden), encoder["log_var"](hidden)
    latents = mean + (log_var / 2).exp() * torch.randn_like(mean)
    fakes = decoder(
        torch.cat([latents, torch.randn_like(latents)])
    )  # reconstructions, then samples of the prior
    features, fake_features = discriminator[:LAYER](images), discriminator[:LAYER](fakes)
    real, fake = discriminator[LAYER:](features), discriminator[LAYER:](fake_features)

    like = feature_reconstruction(features, fake_features[:32])
    step_losses = {
        "encoder": BETA * rate(mean, log_var) + like,
        "decoder": GAMMA * like
        + F.softplus(-fake).mean(),  # a mean over reconstructions and samples: 1/2 each
        "discriminator": F.softplus(-real).mean() + F.softplus(fake).mean(),
    }
    for name, loss in step_losses.items():  # all gradients, before the first update
        loss.backward(inputs=list(players[name].parameters()), retain_graph=True)
    for adam in adams.values():
        adam.step()
        adam.zero_grad()
    losses.append({f"{name}/loss": loss.item() for name, loss in step_losses.items()})

# %% [markdown]
# The same steps with the toolkit. All losses and all final weights are equal up to rounding: the toolkit computes convolutions
# by kernels of its own, which add the same numbers in another order, and the training amplifies the differences slowly.

# %%
checked = simulacra.train(
    "vae_gan",
    data=DATA,
    beta=BETA,
    duration=f"{CHECKED}",
    out=f"{RUNS}/checked",
    quiet=True,
    **SETTINGS,
    **EXACT,
)
records = [record for record in checked.run.reports.read() if record["kind"] == "train"]
for record, mine in zip(records, losses, strict=True):
    torch.testing.assert_close(
        [record[name] for name in mine], list(mine.values()), rtol=1e-3, atol=1e-4
    )
for name, player in players.items():
    theirs = getattr(checked.module, name).state_dict().values()
    torch.testing.assert_close(
        list(player.state_dict().values()), list(theirs), rtol=1e-3, atol=1e-3
    )
print(f"{CHECKED} steps: losses and weights of {', '.join(players)} are equal")

# %% [markdown]
# ## Break it: wrong weights of the losses of the decoder
#
# $\gamma$ weights the feature reconstruction loss against the adversarial loss. With $\gamma = 0$ nothing makes the decoder
# reproduce the given image; with a large $\gamma$ the adversarial loss has no effect, and images are blurred like those of an
# autoencoder.

# %%
rows = [dataset.validation.head(10).images]
for gamma in (0.0, 0.05, 10.0):
    run = model
    if gamma != GAMMA:
        weights = {**TRAINING, **SETTINGS, "gamma": gamma}
        run = simulacra.train(
            "vae_gan",
            **weights,
            duration=f"{STEPS}",
            snapshots=1,
            out=f"{RUNS}/gamma{gamma}",
            quiet=True,
        )
    found = run.evaluate(samples=500, metrics="reconstruction,frechet_distance")["metrics"]
    error, distance = found["mse"]["value"], found["frechet_distance"]["value"]
    print(
        f"gamma {gamma:5}: mean squared error of reconstructions {error:.3f}, Fréchet distance of samples {distance:.1f}"
    )
    rows.append(run.reconstruct(rows[0]))
simulacra.image_grid(torch.cat(rows), 10)

# %% [markdown]
# Row 1: images; rows 2 to 4: their reconstructions with $\gamma = 0$, $0.05$ and $10$. None of the losses shows the mistake,
# because their scale changes with $\gamma$ and with the features. The toolkit's `evaluate` shows it: it measures
# reconstructions in pixels and samples in the features of a classifier that is the same for all models.
#
# ## Break it: the Fréchet distance of few samples
#
# The distance is biased: with fewer samples it is larger, for the same model. A distance of 200 samples must not be compared
# with one of 1,000. The toolkit evaluates with the same number for all models by default, and marks values of few images:

# %%
for samples in (200, 1000):
    found = model.evaluate(samples=samples, metrics="frechet_distance")["metrics"]
    print(f"{samples:5} samples: Fréchet distance {found['frechet_distance']['value']:.1f}")

# %% [markdown]
# ## Exercises
#
# **1.** What would the discriminator learn if it also minimized $\mathcal L_{\text{like}}$? Train it on $\mathcal
# L_{\text{like}}$ alone for 50 steps, with the other players fixed, and print the standard deviation of its features.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
body = discriminator[:LAYER]
adam = torch.optim.Adam(body.parameters(), lr=0.02)
images = batches.batch(0).images
with torch.no_grad():
    fakes = decoder(encoder["mean"](encoder["body"](images)))
for step in range(51):
    features = body(images)
    loss = (features - body(fakes)).square().sum((1, 2, 3)).mean()  # not divided by the variance
    if step % 25 == 0:
        print(
            f"step {step}: loss {loss.item():.3f}, standard deviation of the features {features.std((0, 2, 3)).mean().item():.3f}"
        )
    adam.zero_grad()
    loss.backward()
    adam.step()

# %% [markdown]
# **2.** The rate measures the information in the latents. Print it at the end of the training above, and with $\beta = 50$
# after 40 steps. Which one is closer to posterior collapse?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
strict = {**TRAINING, **SETTINGS, "beta": 50}
collapsed = simulacra.train(
    "vae_gan", **strict, duration="40", snapshots=1, out=f"{RUNS}/strict", quiet=True
)
for name, run in {"beta 2": model, "beta 50": collapsed}.items():
    report = [record for record in run.run.reports.read() if record["kind"] == "train"][-1]
    print(f"{name}: rate {report['encoder/rate_nats']:.2f} nats")

# %% [markdown]
# **3.** Interpolate between two given images, by their latents.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
start, end = (model.encode(dataset.validation.head(2).images)[i] for i in range(2))
simulacra.image_grid(
    model.decode(torch.stack([start.lerp(end, share / 9) for share in range(10)])), 10
)

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("vae_gan")
