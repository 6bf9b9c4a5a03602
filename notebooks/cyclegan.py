# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---


# %% [markdown]
# # CycleGAN
#
# CycleGAN translates images between two domains without pairs: no image has a known counterpart. Here one domain is digits, the
# other one digits with inverted grey levels, so that the right answer is known to us, but not to the model. You train it with the
# toolkit, write the two generators, the two discriminators, all losses, the image pool and the two optimizers in plain PyTorch
# with the same losses step by step, and see what remains without the cycle-consistency loss.
#
# Zhu, Park, Isola & Efros 2017, *Unpaired image-to-image translation using cycle-consistent adversarial networks*.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import simulacra
from simulacra.core.randomness import reseed
from simulacra.data.load import training_batches

DATA, STEPS, BATCH, FEATURES, CYCLE, LR = "digits", 110, 4, 8, 5.0, 8e-3
# For MNIST: DATA, STEPS, BATCH, FEATURES, CYCLE, LR = "mnist", 3000, 8, 16, 10.0, 1e-3 (minutes; the networks below are for 8x8).
RUNS = Path(tempfile.mkdtemp())
torch.set_num_threads(1)

# %% [markdown]
# ## Data
#
# `digits-inverted` is the data set with a transform. The batches of the two domains are drawn independently: no image of one
# comes with its counterpart in the other.

# %%
data = simulacra.unpaired(
    a=simulacra.load_data(DATA, quiet=True), b=simulacra.load_data(f"{DATA}-inverted", quiet=True)
)
test = {name: data[name].test.head(200) for name in ("a", "b")}
simulacra.image_grid(torch.cat([test[name].images[:10] for name in ("a", "b")]), 10)

# %% [markdown]
# ## The model in ten lines

# %%
settings = {
    "dataset": data,
    **{
        "features": FEATURES,
        "blocks": 1,
        "downsamplings": 0,
        "discriminator_features": 8,
        "identity": 0.0,
        "pool": 50,
    },
    **{"batch": BATCH, "lr": LR, "duration": str(STEPS), "seed": 0},
    **{
        "warmup": 0,
        "schedule": "constant",
        "ema": 0,
        "precision": "float32",
        "log_every": 1,
        "snapshots": 1,
    },
}
model = simulacra.train("cyclegan", cycle=CYCLE, out=RUNS / "cyclegan", **settings)
result = model.evaluate(metrics="translation")
result

# %% [markdown]
# The PSNR compares each translation with its known answer; `untranslated` is that of the unchanged image. Rows: originals,
# translations, and these translated back.


# %%
def rows_of(trained: simulacra.Model) -> Tensor:
    """Return images of a, their translations to b, and these translated back."""
    images = test["a"].images[:10]
    translated = trained.translate(images, to="b")
    return torch.cat([images, translated, trained.translate(translated, to="a")])


simulacra.image_grid(rows_of(model), 10)

# %% [markdown]
# ## From scratch: networks
#
# A generator maps images to images. Its layers are a 7x7 convolution, a residual block, and a 7x7 convolution, with instance
# normalization: each feature map of each image has mean 0 and variance 1. A discriminator returns one logit for each patch of 7x7
# pixels. Both work on pixels in $[-1, 1]$.


# %%
class Block(nn.Module):
    """Residual block of two 3x3 convolutions with reflection padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (
            nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3)) for _ in range(2)
        )
        self.layers = nn.Sequential(
            first, nn.InstanceNorm2d(width), nn.ReLU(), second, nn.InstanceNorm2d(width)
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class Generator(nn.Module):
    """Images [b 1 h w] in [0, 1] of one domain to images of the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7), nn.InstanceNorm2d(width), nn.ReLU()
        )
        # A transposed convolution of stride 1 is a convolution with a rotated kernel; the toolkit stores it in this form.
        last = nn.Sequential(nn.ReflectionPad2d(3), nn.ConvTranspose2d(width, 1, 7, padding=6))
        self.layers = nn.Sequential(first, Block(width), last)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(2 * images - 1))


class Discriminator(nn.Module):
    """Images [b 1 h w] in [0, 1] to one logit for each patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, width, 4), nn.ConvTranspose2d(width, 1, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = F.leaky_relu(self.first(F.pad(2 * images - 1, (1, 2, 1, 2))), 0.2)
        return self.last(features)[:, :, 1:-2, 1:-2]


def with_weights(module: nn.Module, network: nn.Module) -> nn.Module:
    """Return `module` with the weights of the toolkit's network, in the same order."""
    module.load_state_dict(
        dict(zip(module.state_dict(), network.state_dict().values(), strict=True))
    )
    return module


# %% [markdown]
# ## From scratch: losses
#
# $G$ translates from $a$ to $b$, $F$ from $b$ to $a$. With least-squares discriminators $D_a$, $D_b$ (LSGAN), the generators
# minimize
#
# $$\underbrace{(D_b(G(a)) - 1)^2 + (D_a(F(b)) - 1)^2}_{\text{adversarial}}
# + \lambda \bigl(\underbrace{|F(G(a)) - a| + |G(F(b)) - b|}_{\text{cycle}}\bigr)
# + \lambda_\text{id} \bigl(\underbrace{|G(b) - b| + |F(a) - a|}_{\text{identity}}\bigr),$$
#
# means over patches or pixels, with $\lambda_\text{id} = \lambda / 2$ in the paper. The identity loss keeps colours that need not
# change; here they must change, so its weight is 0, as in the settings above. Each discriminator minimizes
# $\tfrac12 \bigl((D(\text{real}) - 1)^2 + D(\text{fake})^2\bigr)$.
#
# The cycle loss is absolute, on the scale of $[-1, 1]$: twice the difference of pixels in $[0, 1]$.


# %%
def distance(images: Tensor, others: Tensor) -> Tensor:
    """Return the mean absolute difference, for pixels rescaled from [0, 1] to [-1, 1]."""
    return 2 * (images - others).abs().mean()


def generators_loss(
    to: dict[str, nn.Module], critics: dict[str, nn.Module], real: dict[str, Tensor], weight: float
) -> Tensor:
    """Return the loss of both generators: adversarial and cycle-consistency, and an identity loss if its weight is not 0."""
    fake = {"a": to["a"](real["b"]), "b": to["b"](real["a"])}
    adversarial = sum(((critics[name](fake[name]) - 1) ** 2).mean() for name in "ab")
    cycle = distance(to["a"](fake["b"]), real["a"]) + distance(to["b"](fake["a"]), real["b"])
    identity = sum(distance(to[name](real[name]), real[name]) for name in "ab") if weight else 0.0
    return adversarial + CYCLE * cycle + weight * identity


def discriminators_loss(
    critics: dict[str, nn.Module], real: dict[str, Tensor], fake: dict[str, Tensor]
) -> Tensor:
    """Return the loss of both discriminators, given real and translated images."""
    losses = [
        ((critics[name](real[name]) - 1) ** 2).mean() + (critics[name](fake[name]) ** 2).mean()
        for name in "ab"
    ]
    return sum(losses) / 2


# %% [markdown]
# **Image pool.** The discriminators see a mixture of new and earlier translations: with probability 1/2 a new image is
# exchanged for a random one of a pool of 50. Otherwise a discriminator forgets what the generators did before, and both
# oscillate. Translations are detached from the generators and rounded to 256 levels, as real images are.


# %%
class Pool:
    """Up to 50 earlier translations."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        swaps, places = torch.rand(len(images)) < 0.5, torch.randint(50, (len(images),))
        returned = []
        for image, swap, place in zip(
            (images.detach() * 255).round() / 255, swaps, places, strict=True
        ):
            if len(self.images) < 50:
                self.images.append(image)
            elif swap:
                image, self.images[place] = self.images[place], image
            returned.append(image)
        return torch.stack(returned)


# %% [markdown]
# ## From scratch: the two-player step
#
# Both losses are computed with the networks as they are; then each optimizer updates its own player. `inputs=` restricts the
# gradients to the player's parameters: the discriminators get none from the generators' loss. The losses equal those of the
# toolkit up to rounding, which adversarial training amplifies with the steps; hence 20 steps and a tolerance of 1 %.

# %%
first = simulacra.untrained("cyclegan", cycle=CYCLE, **settings)
to = {name: with_weights(Generator(FEATURES), first.generators[name]) for name in "ab"}
critics = {name: with_weights(Discriminator(8), first.discriminators[name]) for name in "ab"}
pools = {name: Pool() for name in "ab"}
players = {
    name: [*nets["a"].parameters(), *nets["b"].parameters()]
    for name, nets in {"g": to, "d": critics}.items()
}
optimizers = {
    name: torch.optim.Adam(parameters, lr=LR, betas=(0.5, 0.999))
    for name, parameters in players.items()
}
batches, losses = training_batches(data, BATCH, seed=0), []
for step in range(20):
    batch = batches.batch(step)
    real = {name: batch[name].images for name in "ab"}
    reseed(0, "step", step, 0, 0, 0)
    g_loss = generators_loss(to, critics, real, weight=0.0)
    with torch.no_grad():
        fake = {"a": to["a"](real["b"]), "b": to["b"](real["a"])}
    d_loss = discriminators_loss(
        critics, real, {name: pools[name].exchange(fake[name]) for name in "ab"}
    )
    g_loss.backward(inputs=players["g"])
    d_loss.backward(inputs=players["d"])
    for optimizer in optimizers.values():
        optimizer.step()
        optimizer.zero_grad()
    losses.append((g_loss.item(), d_loss.item()))
records = [record for record in model.run.reports.read() if record["kind"] == "train"][:20]
logged = [(record["generators/loss"], record["discriminators/loss"]) for record in records]
for number in (0, 9, 19):
    print(
        f"step {number + 1}: generators and discriminators",
        *(f"{value:.5f}" for value in losses[number]),
        end=", toolkit ",
    )
    print(*(f"{value:.5f}" for value in logged[number]))
torch.testing.assert_close(torch.tensor(losses), torch.tensor(logged), rtol=1e-2, atol=1e-4)

# %% [markdown]
# ## PSNR from scratch
#
# The known answer of $x$ is $1 - x$. The PSNR of an image is $-10 \log_{10}$ of its mean squared error; the toolkit reports the
# mean over images. The trained weights fit into the own generator.


# %%
def psnr(images: Tensor, answers: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio in dB of images in [0, 1], rounded to 256 levels."""
    errors = ((images * 255).round() / 255 - answers).square().flatten(1).mean(1)
    return (-10 * errors.log10()).mean().item()


trained = with_weights(Generator(FEATURES), model.module.generators["b"])
images = data["a"].test.head(len(data["a"].test)).images
with torch.no_grad():
    own = psnr(trained(images), 1 - images)
measured = result["metrics"]["translation_psnr_db_to_b"]["value"]
print(f"PSNR {own:.3f} dB, toolkit {measured:.3f} dB")
assert abs(own - measured) < 0.05

# %% [markdown]
# ## Break it: no cycle-consistency loss
#
# With $\lambda = 0$ the discriminators still require that translations resemble digits of the other domain, but nothing relates a
# translation to its original. A nearest-neighbour classifier on real images of the target domain measures what remains of the
# content.

# %%
without = simulacra.train(
    "cyclegan", cycle=0.0, out=RUNS / "without-cycle", **{**settings, "duration": str(STEPS // 3)}
)
simulacra.image_grid(rows_of(without), 10)


# %%
def accuracy(trained: simulacra.Model) -> float:
    """Return the share of translations to b whose nearest real image of b has the class of the original."""
    real = data["b"].train.head(len(data["b"].train))
    translated = trained.translate(test["a"].images, to="b")
    nearest = torch.cdist(translated.flatten(1), real.images.flatten(1)).argmin(1)
    return (real.labels[nearest] == test["a"].labels).float().mean().item()


broken = without.evaluate(metrics="translation")
print("                 accuracy   cycle error   PSNR")
for name, one, found in (("with cycle loss", model, result), ("without", without, broken)):
    values = [found["metrics"][key]["value"] for key in ("cycle_mse_a", "translation_psnr_db_to_b")]
    print(f"{name:17}{accuracy(one):8.0%}{values[0]:14.4f}{values[1]:7.1f} dB")
assert accuracy(without) < accuracy(model)
assert broken["metrics"]["cycle_mse_a"]["value"] > 2 * result["metrics"]["cycle_mse_a"]["value"]

# %% [markdown]
# No error is raised and the adversarial losses are no worse. `evaluate` reveals it by `cycle_mse`, by the PSNR where answers are
# known, and by `translation_accuracy`, where labels are known. A low cycle error alone proves nothing: the identity has none.
#
# ## Exercises
#
# 1. The identity loss with the weight $\lambda / 2$ contradicts this task. Compute its value for the perfect translation
#    $1 - x$, and compare it with the adversarial loss of the trained model.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
identity = (
    CYCLE
    / 2
    * (
        distance(1 - test["a"].images, test["a"].images)
        + distance(1 - test["b"].images, test["b"].images)
    )
)
adversarial = [
    record["generators/adversarial"]
    for record in model.run.reports.read()
    if record["kind"] == "train"
][-1]
print(
    f"identity loss of the perfect translation {identity:.2f}, adversarial loss {adversarial:.2f}"
)
assert identity > adversarial

# %% [markdown]
# 2. How old are the images that a pool of 50 returns? Simulate it: feed the numbers 0, 1, 2, ... and record the age of each
#    returned one after the pool is full.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
# Half of them are new. A stored image is replaced with probability 1/2 * 1/50 at each step, so it is 100 steps old on average.
torch.manual_seed(0)
pool: list[int] = list(range(50))
ages = []
for number in range(50, 10_000):
    if torch.rand(()) < 0.5:
        place = int(torch.randint(50, ()))
        ages.append(number - pool[place])
        pool[place] = number
    else:
        ages.append(0)
print(
    f"new: {ages.count(0) / len(ages):.0%}, mean age of the others {sum(ages) / (len(ages) - ages.count(0)):.0f} steps"
)

# %% [markdown]
# 3. A generator can hide information about the original in small differences of the translation (Chu et al. 2017). Add noise of
#    standard deviation 0.05 to translations before they are translated back. How much does the cycle error increase?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
originals = test["a"].images
translated = model.translate(originals, to="b")
disturbed = (
    translated + 0.05 * torch.randn(translated.shape, generator=torch.Generator().manual_seed(0))
).clamp(0, 1)
for name, one in {"translations": translated, "with noise": disturbed}.items():
    print(f"{name}: cycle error {(model.translate(one, to='a') - originals).square().mean():.4f}")

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("cyclegan")
