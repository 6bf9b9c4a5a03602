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
# # Generative adversarial network (GAN)
#
# A generator and a discriminator train against each other (Goodfellow et al. 2014). This notebook trains a GAN with the
# toolkit, writes the same training from scratch in plain PyTorch, and checks that both have the same losses and the same
# weights. It then shows what a missing `detach` does. Definitions and settings: the page *GAN* of the documentation
# (`docs/families/gan.md`).

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile

import torch
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F

import simulacra

DATA, STEPS = "digits", 400  # MNIST: "mnist", 4000
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The handwritten digits of scikit-learn: 8x8 pixels, grey levels in $[0, 1]$. The labels are not used.

# %%
dataset = simulacra.load_data(DATA)
dataset

# %% [markdown]
# ## The model in ten lines
#
# `train` displays the losses of both players while it runs. One step updates the discriminator and then the generator.

# %%
SETTINGS = {"noise": 16, "hidden": [128], "seed": 0}
model = simulacra.train(
    "gan",
    data=DATA,
    duration=f"{STEPS}",
    batch=64,
    lr=1e-3,
    snapshots=3,
    log_every=10,
    out=f"{RUNS}/gan",
    **SETTINGS,
)

# %% [markdown]
# Uncurated samples of the trained generator:

# %%
simulacra.image_grid(model.sample(40, seed=0), 10)

# %% [markdown]
# The losses do not measure the quality of the images, so quality is measured by comparing generated with real images. The
# Fréchet distance (FD) compares both sets in the features of a classifier; 0 means equal means and covariances.

# %%
model.evaluate(samples=500, metrics="frechet_distance,precision_recall,diversity")

# %% [markdown]
# Images between the noise vectors of two images change gradually:

# %%
simulacra.image_grid(model.interpolate_noise(4, 10, seed=1).flatten(0, 1), 10)

# %% [markdown]
# ## From scratch
#
# The generator maps noise $z \sim \mathcal N(0, I)$ to an image $G(z)$. The discriminator maps an image to a logit $d(x)$, and
# $D(x) = 1/(1 + e^{-d(x)})$ is the probability that $x$ is a real image. Both are dense networks here.


# %%
def networks(shape: tuple[int, ...]) -> tuple[nn.Sequential, nn.Sequential]:
    """Return a generator from noise [b 16] to images [b c h w], and a discriminator from images to logits [b 1]."""
    pixels = torch.Size(shape).numel()
    generator = nn.Sequential(
        nn.Linear(16, 128),
        nn.LeakyReLU(0.2),
        nn.Linear(128, pixels),
        nn.Unflatten(1, shape),
        nn.Sigmoid(),
    )
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )
    return generator, discriminator


# %% [markdown]
# **Losses.** The discriminator minimizes the cross-entropy of its classification (Goodfellow et al. 2014, eq. 1), the generator
# the *non-saturating* loss (their section 3):
#
# $$\mathcal L_D = -\mathbb E_x \log D(x) - \mathbb E_z \log\bigl(1 - D(G(z))\bigr), \qquad
#   \mathcal L_G = -\mathbb E_z \log D(G(z)).$$
#
# With $\log D = -\mathrm{softplus}(-d)$ and $\log(1 - D) = -\mathrm{softplus}(d)$ they are computed from logits without
# overflow.


# %%
def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return -log D(x) - log(1 - D(G(z))) in nats, means over the logits of real and of generated images."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return -log D(G(z)) in nats, a mean over the logits of generated images."""
    return F.softplus(-fake).mean()


# %% [markdown]
# **The two-player step** (their algorithm 1):
#
# 1. Discriminator: new images $x$, new noise $z$. $G(z)$ is *detached*: the loss of the discriminator has no gradient with
#    respect to the generator.
# 2. Generator: new noise. The gradient passes through the discriminator, whose weights are not updated.
#
# The training below draws the batches and the random numbers that the toolkit draws: batch number $i$ is a function of the seed
# and $i$, and the random numbers of a turn are a function of the seed, the step and the turn.

# %%
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches


def copy_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all parameters and buffers of a module into one of the same structure, by their order."""
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))


def initial_networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Return a generator and a discriminator with the weights with which the toolkit begins."""
    first = simulacra.untrained("gan", dataset=dataset, **SETTINGS)
    generator, discriminator = networks(dataset.spec.shape)
    copy_weights(generator, first.generator)
    copy_weights(discriminator, first.discriminator)
    return generator, discriminator


def adam(network: nn.Module) -> torch.optim.Adam:
    """Return the optimizer of a player."""
    return torch.optim.Adam(network.parameters(), lr=5e-4, betas=(0.5, 0.999))


# %%
CHECKED = 20  # steps
generator, discriminator = initial_networks()
generator_adam, discriminator_adam = adam(generator), adam(discriminator)
batches = Batches(dataset.train, 64, seed=0)
losses = []
for step in range(CHECKED):
    reseed(0, "step", step, 0, 0, 0)  # turn 0: the discriminator
    images = batches.batch(2 * step).images
    fakes = generator(torch.randn(64, 16)).detach()
    d_loss = discriminator_loss(discriminator(images), discriminator(fakes))
    discriminator_adam.zero_grad()
    d_loss.backward()
    discriminator_adam.step()

    reseed(0, "step", step, 1, 0, 0)  # turn 1: the generator
    g_loss = generator_loss(discriminator(generator(torch.randn(64, 16))))
    generator_adam.zero_grad()
    g_loss.backward()
    generator_adam.step()
    losses.append({"discriminator/loss": d_loss.item(), "generator/loss": g_loss.item()})

# %% [markdown]
# The same number of steps with the toolkit, without warm-up and moving average of the weights. All losses and all final weights
# are equal up to rounding: the optimizer of the toolkit adds the same numbers in another order.

# %%
EXACT = {
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "batch": 64,
    "lr": 5e-4,
}


def assert_equal(
    run: simulacra.Model, losses: list[dict[str, float]], players: dict[str, nn.Module]
) -> None:
    """Assert that a run has the same losses at every step and the same final weights of every player."""
    records = [record for record in run.run.reports.read() if record["kind"] == "train"]
    for record, mine in zip(records, losses, strict=True):
        torch.testing.assert_close(
            [record[name] for name in mine], list(mine.values()), rtol=1e-4, atol=1e-5
        )
    for name, network in players.items():
        theirs = getattr(run.module, name).state_dict().values()
        torch.testing.assert_close(
            list(network.state_dict().values()), list(theirs), rtol=1e-4, atol=1e-5
        )
    print(f"{len(losses)} steps: losses and weights of {', '.join(players)} are equal")


checked = simulacra.train(
    "gan", data=DATA, duration=f"{CHECKED}", out=f"{RUNS}/checked", quiet=True, **SETTINGS, **EXACT
)
assert_equal(checked, losses, {"generator": generator, "discriminator": discriminator})

# %% [markdown]
# ## Break it: the missing `detach`
#
# Without `detach`, `d_loss.backward()` also adds the gradient of the *discriminator's* loss to the gradients of the generator.
# If they are not set to zero before the generator's own backward pass, as in the common code that calls `zero_grad` of both
# optimizers at the beginning of the step, the generator is updated by the sum of both.
#
# For one generated image with $D = D(G(z))$, the derivatives with respect to its logit are
#
# $$\frac{\partial \mathcal L_D}{\partial d} = D, \qquad \frac{\partial \mathcal L_G}{\partial d} = -(1 - D), \qquad
#   \text{sum: } 2D - 1.$$
#
# They have opposite signs. The sum vanishes as soon as $D = \frac12$, and has the wrong sign for images that the discriminator
# takes for real. With the minimax loss $\mathcal L_G = \log(1 - D)$ the sum is zero always, and the generator does not learn at
# all.


# %%
def gradient(loss: Tensor, network: nn.Module) -> Tensor:
    """Return the gradient of a loss with respect to all parameters of a network, as one vector."""
    return torch.cat(
        [
            part.flatten()
            for part in torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        ]
    )


generator, discriminator = initial_networks()
real, fake = discriminator(batches.batch(0).images), discriminator(generator(torch.randn(64, 16)))
own = gradient(generator_loss(fake), generator)
leaked = gradient(discriminator_loss(real, fake), generator)
minimax = gradient(-F.softplus(fake).mean(), generator)
print(
    f"norm of the generator's own gradient {own.norm():.4f}, of the leaked gradient {leaked.norm():.4f}"
)
print(f"cosine of the angle between them     {F.cosine_similarity(own, leaked, dim=0):.3f}")
print(f"norm of the sum                      {(own + leaked).norm():.4f}")
print(f"norm of the sum, minimax loss        {(minimax + leaked).norm():.1e}")
assert F.cosine_similarity(own, leaked, dim=0) < -0.5
assert (minimax + leaked).norm() < 1e-6

# %% [markdown]
# The training continues without an error message, which makes this mistake hard to find. Its effect on the losses and on the
# diversity of the generated images, which the toolkit computes at every snapshot:

# %%
from simulacra.training.diversity import pixel_diversity


def train_from_scratch(steps: int, detach: bool) -> tuple[float, float, Tensor]:
    """Return the mean discriminator loss and the mean D(G(z)) of the last 100 steps, and 256 images."""
    generator, discriminator = initial_networks()
    generator_adam, discriminator_adam = adam(generator), adam(discriminator)
    losses, beliefs = [], []
    torch.manual_seed(0)
    for step in range(steps):
        generator_adam.zero_grad()
        discriminator_adam.zero_grad()
        fakes = generator(torch.randn(64, 16))
        fake = discriminator(fakes.detach() if detach else fakes)
        loss = discriminator_loss(discriminator(batches.batch(step).images), fake)
        loss.backward()
        discriminator_adam.step()
        generator_loss(discriminator(generator(torch.randn(64, 16)))).backward()
        generator_adam.step()
        losses.append(loss.item())
        beliefs.append(torch.sigmoid(fake).mean().item())
    with torch.no_grad():
        return sum(losses[-100:]) / 100, sum(beliefs[-100:]) / 100, generator(torch.randn(256, 16))


validation = dataset.validation.head(256).images
diversity = {}
for detach in (True, False):
    loss, belief, samples = train_from_scratch(300, detach)
    found = pixel_diversity(samples[: len(validation)], validation)
    diversity[detach] = found["diversity"]
    print(
        f"detach {detach!s:5}: discriminator loss {loss:.2f}, mean D(G(z)) {belief:.2f}, diversity {found['diversity']:.2f}"
    )
    display(simulacra.image_grid(samples[:20], 10))

# %% [markdown]
# **How the toolkit prevents it.** A family of the toolkit returns the losses of its players and never calls `backward`. The
# training loop differentiates each loss with respect to the parameters of its own player only (`torch.autograd.backward(loss,
# inputs=parameters)`), so that a graph through the other player has no effect:

# %%
generator, discriminator = initial_networks()
fake = discriminator(generator(torch.randn(64, 16)))  # not detached
loss = discriminator_loss(discriminator(batches.batch(0).images), fake)
torch.autograd.backward(loss, inputs=list(discriminator.parameters()))
assert all(parameter.grad is None for parameter in generator.parameters())
print("no gradient of the discriminator's loss in the generator")

# %% [markdown]
# ## Exercises
#
# **1.** What are the two losses for a discriminator that returns the logit 0 for every image? Compute them, and compare them
# with the end of the loss curve above.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
zero = torch.zeros(64)
print(
    f"discriminator {discriminator_loss(zero, zero):.4f} = 2 log 2, generator {generator_loss(zero):.4f} = log 2"
)
model.curves()

# %% [markdown]
# **2.** With `simultaneous=True` both players are updated at the same time with the same generated images: one batch and one
# set of noise per step, and no `detach`. Write this step, and compare its losses with the toolkit's.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
generator, discriminator = initial_networks()
generator_adam, discriminator_adam = adam(generator), adam(discriminator)
losses = []
for step in range(CHECKED):
    reseed(0, "step", step, 0, 0, 0)
    fake = discriminator(generator(torch.randn(64, 16)))
    d_loss = discriminator_loss(discriminator(batches.batch(step).images), fake)
    g_loss = generator_loss(fake)
    generator_adam.zero_grad()
    discriminator_adam.zero_grad()
    d_loss.backward(retain_graph=True, inputs=list(discriminator.parameters()))
    g_loss.backward(inputs=list(generator.parameters()))
    discriminator_adam.step()
    generator_adam.step()
    losses.append({"discriminator/loss": d_loss.item(), "generator/loss": g_loss.item()})
both = simulacra.train(
    "gan",
    data=DATA,
    duration=f"{CHECKED}",
    simultaneous=True,
    out=f"{RUNS}/both",
    quiet=True,
    **SETTINGS,
    **EXACT,
)
assert_equal(both, losses, {"generator": generator, "discriminator": discriminator})

# %% [markdown]
# **3.** The data set `ring` has eight modes in the plane. Train a GAN on it with Adam's usual momentum, `beta1=0.9`, instead of
# 0.5. Which warning does the toolkit give?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
ring = {
    "noise": 2,
    "hidden": [64, 64],
    "data": "ring",
    "batch": 256,
    "lr": 3e-3,
    "ema": 0.9,
    "duration": "280",
    "snapshots": 5,
}
collapsed = simulacra.train("gan", **ring, beta1=0.9, out=f"{RUNS}/ring", quiet=True)
for warning in simulacra.status(collapsed.run.path).training_warnings:
    print(warning.message)
reports = collapsed.run.reports.read()
print(
    "modes covered at the snapshots:",
    [record["modes_covered"] for record in reports if "modes" in record],
)
for points in (collapsed.dataset.train.head(1000).images, collapsed.sample(1000)):
    display(simulacra.image_grid(points, 1).resize((256, 256)))

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("gan")
