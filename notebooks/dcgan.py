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
# # DCGAN
#
# A GAN of strided convolutions with batch norm (Radford et al. 2015). This notebook trains it, writes it from scratch in plain
# PyTorch with the same losses, weights and batch-norm statistics as the toolkit's, and shows two mistakes with batch norm:
# sampling in training mode, and one pass of the discriminator over real and generated images together. Prerequisite: the
# notebook *gan*. Definitions and settings: the page *DCGAN* of the documentation (`docs/families/dcgan.md`).

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import copy
import tempfile

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import simulacra

DATA, STEPS = "digits", 220  # MNIST: "mnist", 3000
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
SETTINGS = {"features": [16, 32], "noise": 16, "seed": 0}
TRAINING = {"data": DATA, "batch": 64, "lr": 2e-3, "ema": 0.97}
model = simulacra.train(
    "dcgan",
    **TRAINING,
    **SETTINGS,
    duration=f"{STEPS}",
    snapshots=3,
    log_every=10,
    out=f"{RUNS}/model",
)

# %%
simulacra.image_grid(model.sample(40, seed=0), 10)

# %%
model.evaluate(samples=500, metrics="frechet_distance,diversity")

# %% [markdown]
# ## From scratch
#
# **Networks.** The discriminator halves the image by 4x4 convolutions of stride 2; the generator doubles it by transposed ones.
# Batch norm follows every layer except the first of the discriminator and the last of the generator. It normalizes each feature
# map over the images and pixels of a batch, and then multiplies by $\gamma$ and adds $\beta$, which are trained (Ioffe &
# Szegedy 2015):
#
# $$y = \gamma\, \frac{x - \mathrm{mean}(x)}{\sqrt{\mathrm{var}(x) + \epsilon}} + \beta.$$


# %%
class Rescale(nn.Module):
    """Rescale images from [0, 1] to [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return 2 * images - 1."""
        return 2 * images - 1


def discriminator_of(side: int, channels: int) -> nn.Sequential:
    """Return a network from images [b channels side side], of a side that 4 divides, to logits [b 1]."""
    return nn.Sequential(
        Rescale(),
        nn.Conv2d(channels, 16, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, 1),
    )


def generator_of(side: int, channels: int) -> nn.Sequential:
    """Return a network from noise [b 16] to images [b channels side side]."""
    return nn.Sequential(
        nn.Linear(16, 32 * (side // 4) ** 2, bias=False),  # the batch norm adds a bias
        nn.Unflatten(1, (32, side // 4, side // 4)),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.ConvTranspose2d(16, channels, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


# %% [markdown]
# **Initialization** (Radford et al. 2015, section 3). All weights are drawn from $\mathcal N(0, 0.02^2)$, the scales $\gamma$
# of batch norm from $\mathcal N(1, 0.02^2)$; biases are zero. The weights with which the toolkit begins have these means and
# standard deviations:


# %%
def initialize(network: nn.Module) -> None:
    """Draw the weights of all layers of a network."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            nn.init.normal_(
                layer.weight, mean=1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, std=0.02
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


channels, side, _ = dataset.spec.shape
torch.manual_seed(0)
generator, discriminator = generator_of(side, channels), discriminator_of(side, channels)
initialize(generator)
initialize(discriminator)
first = simulacra.untrained("dcgan", dataset=dataset, **SETTINGS)
for mine, theirs in ((generator, first.generator), (discriminator, first.discriminator)):
    for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert own.shape == other.shape
        assert abs(own.mean() - other.mean()) < 0.2 * 0.02 + 0.1 / len(own.flatten())
        if own.numel() > 500:
            torch.testing.assert_close(own.std(), other.std(), rtol=0.15, atol=0.0)
print("means and standard deviations of the first weights agree")

# %% [markdown]
# **Training.** The losses are those of the GAN, $\mathcal L_D = -\log D(x) - \log(1 - D(G(z)))$ and $\mathcal L_G = -\log
# D(G(z))$.
#
# The discriminator is applied to the generated images and to the real images *separately*, so that each batch is normalized by
# its own statistics. All passes are in training mode, also that of the generator in the turn of the discriminator: each pass
# updates the running averages of the layers that it goes through, by 10 % of the batch's mean and variance.

# %%
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches


def copy_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all parameters and buffers of a module into one of the same structure, by their order."""
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))


copy_weights(generator, first.generator)
copy_weights(discriminator, first.discriminator)
generator_adam, discriminator_adam = (
    torch.optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for player in (generator, discriminator)
)
batches = Batches(dataset.train, 64, seed=0)

# %%
CHECKED = 12  # steps
losses = []
for step in range(CHECKED):
    reseed(0, "step", step, 0, 0, 0)  # turn 0: the discriminator
    with torch.no_grad():
        images = generator(torch.randn(64, 16))
    fake, real = discriminator(images), discriminator(batches.batch(2 * step).images)
    d_loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    discriminator_adam.zero_grad()
    d_loss.backward()
    discriminator_adam.step()

    reseed(0, "step", step, 1, 0, 0)  # turn 1: the generator
    g_loss = F.softplus(-discriminator(generator(torch.randn(64, 16)))).mean()
    generator_adam.zero_grad()
    g_loss.backward()
    generator_adam.step()
    losses.append({"discriminator/loss": d_loss.item(), "generator/loss": g_loss.item()})

# %% [markdown]
# The same steps with the toolkit. All losses, final weights and running averages are equal up to rounding: the toolkit computes
# convolutions by kernels of its own, which add the same numbers in another order.
#
# One group of weights is an exception: the biases of convolutions before a batch norm. Batch norm subtracts them again, so
# their gradient is zero, and what is computed is its rounding. Adam divides each gradient by its own size, and moves these
# biases by up to the learning rate in each step, in a random direction. They have no effect except on the running mean, which
# contains them.

# %%
EXACT = {
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "batch": 64,
    "lr": 1e-3,
}
checked = simulacra.train(
    "dcgan",
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
without_effect = {
    "generator": ("4.bias", "5.running_mean"),
    "discriminator": ("3.bias", "4.running_mean"),
}
for name, mine in {"generator": generator, "discriminator": discriminator}.items():
    for (entry, own), other in zip(
        mine.state_dict().items(), getattr(checked.module, name).state_dict().values(), strict=True
    ):
        # biases without effect move by at most the learning rate in each step
        most = 2 * CHECKED * 1e-3 if entry in without_effect[name] else 3e-4
        torch.testing.assert_close(
            own, other, rtol=1e-3, atol=most, msg=lambda text, entry=entry: f"{entry}: {text}"
        )
images = [
    network.eval()(torch.ones(1, 16))
    for network in (copy.deepcopy(generator), checked.module.generator.layers)
]
torch.testing.assert_close(images[0], images[1].sigmoid(), rtol=0, atol=1e-3)
print(
    f"{CHECKED} steps: losses, weights and running averages of generator and discriminator are equal"
)

# %% [markdown]
# ## Break it: sampling in training mode
#
# In training mode an image depends on the other images of its batch, because batch norm uses the statistics of the batch. Here
# the same noise vector is generated in two batches:

# %%
trained = copy.deepcopy(model.module.generator)
noise = torch.randn(64, 16, generator=torch.Generator().manual_seed(1))
rows, changes = [], {}
for mode in ("training", "evaluation"):
    trained.train(mode == "training")
    with torch.no_grad():
        together, apart = (
            trained(noise)[:10],
            torch.cat(
                [trained(torch.cat([noise[i : i + 1], noise[20:28]]))[:1] for i in range(10)]
            ),
        )
    changes[mode] = (together - apart).abs().mean().item()
    rows += [together, apart]
    print(
        f"{mode} mode: mean absolute difference of the same 10 images in another batch {changes[mode]:.4f}"
    )
assert changes["training"] > 0.01
assert changes["evaluation"] < 1e-4
simulacra.image_grid(torch.cat(rows), 10)

# %% [markdown]
# Rows 1 and 2: training mode, in a batch of 64 and in batches of 9. Rows 3 and 4: the same in evaluation mode, where the
# running averages replace the statistics of the batch. Generating in training mode also changes these averages, so that later
# samples differ from earlier ones.
#
# **How the toolkit prevents it.** `sample`, `evaluate` and all other methods use the model in evaluation mode. Image $k$ of a
# seed is a function of the seed and $k$ alone:

# %%
assert not model.module.training
torch.testing.assert_close(
    model.sample(3, seed=5), model.sample(100, seed=5)[:3], rtol=0, atol=1e-5
)
print("the first 3 images of 3 and of 100 are equal")

# %% [markdown]
# ## Break it: one pass over real and generated images
#
# If real and generated images are concatenated and classified in one pass, batch norm normalizes both by *common* statistics.
# The difference of the means of both halves is then visible in the normalized features, while separate passes remove it: each
# half has mean 0. The standardized difference of the feature means after the batch norm of the discriminator, in both cases:

# %%
network = copy.deepcopy(first.discriminator).train().body[:6]  # to the output of the batch norm
with torch.no_grad():
    real, fake = batches.batch(0).images, first.generator.train()(noise)
    separate = network(fake).mean((0, 2, 3)) - network(real).mean((0, 2, 3))
    mixed = network(torch.cat([fake, real]))
    common = mixed[:64].mean((0, 2, 3)) - mixed[64:].mean((0, 2, 3))
print(
    f"mean absolute difference: separate passes {separate.abs().mean():.4f}, one pass {common.abs().mean():.4f}"
)
assert separate.abs().mean() < 1e-3
assert common.abs().mean() > 0.1

# %% [markdown]
# With one pass the discriminator separates both halves by their mean brightness alone, and its gradient changes the brightness
# of all generated images together. The logit of a real image also depends on the generated images of the batch. The toolkit
# always uses separate passes. Where the loss needs one gradient for each image, it refuses batch norm in the discriminator:

# %%
try:
    simulacra.train("dcgan", data=DATA, r1=1, out=f"{RUNS}/refused", quiet=True)
except simulacra.UsageError as error:
    print(error)
else:
    raise AssertionError("R1 with batch norm was accepted")

# %% [markdown]
# ## Exercises
#
# **1.** After how many passes have the running averages forgotten 99 % of their initial values, if each pass weights the batch
# by 0.1?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
norm = nn.BatchNorm1d(1, momentum=0.1)
norm.running_mean.fill_(1.0)
passes = 0
while norm.running_mean.item() > 0.01:
    norm(torch.tensor([[-1.0], [1.0]]))  # a batch of mean 0
    passes += 1
print(f"{passes} passes: 0.9^{passes} = {0.9**passes:.4f}")

# %% [markdown]
# **2.** Why has the first dense layer of the generator no bias? Add one, compute the outputs of the generator in training mode
# with two different biases, and compare.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
biased = nn.Sequential(nn.Linear(16, 32), nn.Unflatten(1, (32, 1, 1)), nn.BatchNorm2d(32))
before = biased(noise)
with torch.no_grad():
    biased[0].bias.normal_()
print(
    f"largest difference {(biased(noise) - before).abs().max():.1e}: batch norm subtracts the mean, and the bias with it"
)

# %% [markdown]
# **3.** Replace the batch norm of the discriminator with the R1 penalty (`batch_norm=False`, `r1=1`), and train for 40 steps.
# Compare the accuracies of both discriminators.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
for name, changed in {"batch norm": {}, "R1": {"batch_norm": False, "r1": 1}}.items():
    run = simulacra.train(
        "dcgan",
        **TRAINING,
        **SETTINGS,
        **changed,
        duration="40",
        snapshots=1,
        log_every=40,
        out=f"{RUNS}/{name}",
        quiet=True,
    )
    report = next(record for record in run.run.reports.read() if record["kind"] == "train")
    real, fake = (report[f"discriminator/{part}_accuracy"] for part in ("real", "fake"))
    print(f"{name}: accuracy {real:.2f} on real, {fake:.2f} on generated images")

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("dcgan")
