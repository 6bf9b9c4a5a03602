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
# # Convolutional GAN
#
# A GAN with convolutional networks, whose layers are those of a well-known Keras example: no normalization, and dropout in the
# discriminator. This notebook trains it, writes its layers and its training from scratch in plain PyTorch, with the same losses
# and weights as the toolkit's, and shows why the losses must not be taken as a measure of quality. Prerequisite: the notebook
# *gan*. Definitions and settings: the page *Convolutional GAN* of the documentation (`docs/families/conv_gan.md`).

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

DATA, STEPS = "digits", 150  # MNIST: "mnist", 3000
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The handwritten digits of scikit-learn, 8x8 pixels. The networks are narrower than the defaults, so that the training takes
# seconds.

# %%
dataset = simulacra.load_data(DATA)
dataset

# %% [markdown]
# ## The model in ten lines
#
# The R1 penalty makes this short training more stable.

# %%
SETTINGS = {
    "noise": 16,
    "generator_features": 16,
    "discriminator_features": 32,
    "dropout": 0.2,
    "seed": 0,
}
TRAINING = {"data": DATA, "batch": 16, "lr": 2e-3, "ema": 0.97, "log_every": 10}
model = simulacra.train(
    "conv_gan",
    **TRAINING,
    **SETTINGS,
    r1=0.5,
    duration=f"{STEPS}",
    snapshots=2,
    out=f"{RUNS}/model",
)

# %%
simulacra.image_grid(model.sample(40, seed=0), 10)

# %% [markdown]
# ## From scratch
#
# **`same` padding.** A convolution with stride $s$ maps $n$ pixels to $\lceil n / s \rceil$. With a kernel of $k$ pixels it
# needs
#
# $$p = \max\bigl((\lceil n / s \rceil - 1)\, s + k - n,\; 0\bigr)$$
#
# pixels of padding, $\lfloor p / 2 \rfloor$ of them at the top and the left, and the rest at the bottom and the right. For $n =
# 28$, $k = 3$ and $s = 2$ this is one pixel, at the bottom and the right only. The argument `padding=1` of PyTorch's
# convolution pads both sides instead, and its outputs are shifted by one pixel.


# %%
def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pixels of padding before and after an axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


print("28 pixels:", same_padding(28, 3, 2), " 7 pixels:", same_padding(7, 3, 2))

# %% [markdown]
# **Dropout** (Srivastava et al. 2014) sets each feature to zero with probability 0.2 during training, and divides the others by
# the probability of keeping them. The toolkit draws the mask from random bytes, eight for each random number: a feature is kept
# where its byte is below 205, with probability $205/256 = 0.801$. Features are stored pixel by pixel, with the channels of a
# pixel adjacent.


# %%
class Dropout(nn.Module):
    """Zero features [b c h w] at random during training, and divide the others by 205/256."""

    def forward(self, features: Tensor) -> Tensor:
        """Return [b c h w]."""
        if not self.training:
            return features
        batch, channels, height, width = features.shape
        numbers = torch.empty(-(-features.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = (numbers.view(torch.uint8)[: features.numel()] < 205).view(
            batch, height, width, channels
        )
        return features * kept.permute(0, 3, 1, 2) * (256 / 205)


# %% [markdown]
# **Layers.** The discriminator halves the image twice; the generator doubles it twice, by transposed convolutions with kernels
# of 4x4 pixels. A transposed convolution is the adjoint of a convolution, and crops what `same` padding adds: one pixel on each
# side for 4x4 with stride 2, three for 7x7 with stride 1.


# %%
def discriminator_of(side: int, channels: int, maps: int) -> nn.Sequential:
    """Return a network from images [b channels side side] to logits [b 1]."""
    layers = []
    for inputs in (channels, maps):
        before, after = same_padding(side, 3, 2)
        layers += [
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(inputs, maps, 3, stride=2),
            nn.LeakyReLU(0.2),
            Dropout(),
        ]
        side = -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(maps * side * side, 1))


def generator_of(side: int, channels: int, maps: int, noise: int) -> nn.Sequential:
    """Return a network from noise [b noise] to images [b channels side side], of a side that 4 divides."""
    return nn.Sequential(
        nn.Linear(noise, maps * (side // 4) ** 2),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (maps, side // 4, side // 4)),
        nn.ConvTranspose2d(maps, maps, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(maps, maps, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(maps, channels, 7, padding=3),
        nn.Sigmoid(),
    )


# %% [markdown]
# For MNIST and the default settings, the numbers of parameters are those of the tables of the documentation:


# %%
def parameters(network: nn.Sequential) -> list[int]:
    """Return the number of parameters of each layer that has any."""
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in network]
    return [count for count in counts if count]


print(
    "discriminator",
    parameters(discriminator_of(28, 1, 64)),
    " generator",
    parameters(generator_of(28, 1, 128, 100)),
)
assert parameters(discriminator_of(28, 1, 64)) == [640, 36_928, 3_137]
assert parameters(generator_of(28, 1, 128, 100)) == [633_472, 262_272, 262_272, 6_273]

# %% [markdown]
# **Training.** The losses are those of a GAN with the non-saturating generator loss,
#
# $$\mathcal L_D = -\log D(x) - \log\bigl(1 - D(G(z))\bigr), \qquad \mathcal L_G = -\log D(G(z)).$$
#
# Each pass through the discriminator draws new dropout masks, first for the generated images and then for the real ones. (The
# R1 penalty of the training above is left out.)

# %%
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches


def copy_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all parameters and buffers of a module into one of the same structure, by their order."""
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))


first = simulacra.untrained("conv_gan", dataset=dataset, **SETTINGS)
channels, side, _ = dataset.spec.shape
generator, discriminator = (
    generator_of(side, channels, 16, 16),
    discriminator_of(side, channels, 32),
)
copy_weights(generator, first.generator)
copy_weights(discriminator, first.discriminator)
generator_adam, discriminator_adam = (
    torch.optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for player in (generator, discriminator)
)
batches = Batches(dataset.train, 32, seed=0)

# %%
CHECKED = 10  # steps
losses = []
for step in range(CHECKED):
    reseed(0, "step", step, 0, 0, 0)  # turn 0: the discriminator
    with torch.no_grad():
        images = generator(torch.randn(32, 16))
    fake, real = discriminator(images), discriminator(batches.batch(2 * step).images)
    d_loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    discriminator_adam.zero_grad()
    d_loss.backward()
    discriminator_adam.step()

    reseed(0, "step", step, 1, 0, 0)  # turn 1: the generator
    g_loss = F.softplus(-discriminator(generator(torch.randn(32, 16)))).mean()
    generator_adam.zero_grad()
    g_loss.backward()
    generator_adam.step()
    losses.append({"discriminator/loss": d_loss.item(), "generator/loss": g_loss.item()})

# %% [markdown]
# The same steps with the toolkit. All losses and all final weights are equal up to rounding: the toolkit computes convolutions
# by kernels of its own, which add the same numbers in another order, and the training amplifies the differences slowly.

# %%
EXACT = {
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "batch": 32,
    "lr": 1e-3,
}
checked = simulacra.train(
    "conv_gan",
    data=DATA,
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
for mine, theirs in (
    (generator, checked.module.generator),
    (discriminator, checked.module.discriminator),
):
    torch.testing.assert_close(
        list(mine.state_dict().values()), list(theirs.state_dict().values()), rtol=1e-3, atol=1e-3
    )
print(f"{CHECKED} steps: losses and weights of generator and discriminator are equal")

# %% [markdown]
# ## Break it: judging by the losses
#
# The same training stopped after 20 steps, compared with the training above: which model has the lower generator loss, and
# which has the better images?

# %%
early = simulacra.train(
    "conv_gan",
    **TRAINING,
    **SETTINGS,
    r1=0.5,
    duration="20",
    snapshots=1,
    out=f"{RUNS}/early",
    quiet=True,
)
found = {}
for run in (early, model):
    reports = [record for record in run.run.reports.read() if record["kind"] == "train"]
    metrics = run.evaluate(samples=500, metrics="frechet_distance,diversity")["metrics"]
    found[run.step] = (
        reports[-1]["generator/loss"],
        metrics["frechet_distance"]["value"],
        metrics["diversity"]["value"],
    )
for step, (loss, distance, diversity) in found.items():
    print(
        f"step {step:3}: generator loss {loss:.2f}, Fréchet distance {distance:5.1f}, diversity {diversity:.2f}"
    )
simulacra.image_grid(torch.cat([early.sample(10), model.sample(10)]), 10)

# %% [markdown]
# The Fréchet distance falls to about half while the generator loss hardly changes: it is measured by a discriminator that
# improves, too. A generator loss is therefore not comparable between two steps, nor between two runs. `evaluate` compares the
# images themselves with real ones by a network that is the same for all models.
#
# The losses do show whether both players are in balance. Without the penalty, with a smaller generator, Adam's usual momentum
# and a higher learning rate, the discriminator is soon always right and its probabilities are saturated, so that the
# generator receives hardly any gradient. The toolkit gives a warning if a fifth of a training of 200 or more steps is like
# this:

# %%
unbalanced = {**SETTINGS, "generator_features": 8, "dropout": 0.4, "lr": 4e-3, "beta1": 0.9}
lost = simulacra.train(
    "conv_gan",
    **{**TRAINING, **unbalanced},
    duration="90",
    snapshots=1,
    out=f"{RUNS}/lost",
    quiet=True,
)
report = [record for record in lost.run.reports.read() if record["kind"] == "train"][-1]
for name in ("real_accuracy", "fake_accuracy", "saturation"):
    print(f"discriminator, {name.replace('_', ' ')}: {report[f'discriminator/{name}']:.3f}")
lost.curves()

# %% [markdown]
# ## Exercises
#
# **1.** How far are the outputs of the discriminator's first convolution with `padding=1` from those with `same` padding?
# Compare them with those for an image that is shifted by one pixel.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
images, layer = batches.batch(0).images, discriminator[1]
same = layer(F.pad(images, (0, 1, 0, 1)))
both = F.conv2d(images, layer.weight, layer.bias, stride=2, padding=1)
shifted = F.conv2d(
    F.pad(images, (0, 1, 0, 1))[:, :, 1:, 1:], layer.weight, layer.bias, stride=2, padding=1
)
print(
    f"mean absolute difference: padding=1 {(same - both).abs().mean():.3f}, and shifted {(same - shifted).abs().mean():.3f}"
)
print(f"shifted, without the border: {(same - shifted)[:, :, 1:-1, 1:-1].abs().max():.1e}")

# %% [markdown]
# **2.** The discriminator returns different logits for the same images in training and in evaluation. Measure the standard
# deviation of an image's logit over 100 passes in both modes.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
for training in (True, False):
    discriminator.train(training)
    with torch.no_grad():
        logits = torch.stack([discriminator(images)[:, 0] for _ in range(100)])
    print(
        f"{'training' if training else 'evaluation'}: standard deviation {logits.std(0).mean():.3f}"
    )

# %% [markdown]
# **3.** Why has the transposed convolution a 4x4 kernel and not 3x3? Apply both with all weights 1 to an image of ones, and
# print the result.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
for kernel in (4, 3):
    weights = torch.ones(1, 1, kernel, kernel)
    out = F.conv_transpose2d(torch.ones(1, 1, 5, 5), weights, stride=2)[0, 0, 2:8, 2:8]
    print(f"kernel {kernel}x{kernel}:\n{out.int().numpy()}")
    display(simulacra.image_grid(out[None, None] / 4, 1))

# %% [markdown]
# With 3x3 the pixels receive one, two or four weights, which causes a checkerboard pattern (Odena et al. 2016).
#
# ## Quiz

# %%
simulacra.quiz("conv_gan")
