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
# # Diffusion model
#
# A diffusion model adds Gaussian noise to images and trains one network to remove it. You train one with the toolkit, write the
# noise schedule, the U-Net, the loss and two samplers (DDPM and DDIM) in plain PyTorch, and check that losses and images are
# those of the toolkit. The notebook `diffusion_step_by_step` shows the mathematics on points of the plane, without a network.
#
# Ho, Jain & Abbeel 2020, *Denoising diffusion probabilistic models*; Song, Meng & Ermon 2020, *Denoising diffusion implicit
# models*.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from IPython.display import display
from PIL import Image
from torch import Tensor, nn

import simulacra
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import Condition
from simulacra.core.randomness import Streams, reseed
from simulacra.data.batches import Batches

DATA, STEPS, FEATURES, BATCH = "digits", 100, (16, 32), 32
# For MNIST: DATA, STEPS, FEATURES, BATCH = "mnist", 4000, (32, 64, 64), 128, and a schedule with a warm-up (half an hour).
RUNS = Path(tempfile.mkdtemp())
torch.set_num_threads(1)

# %% [markdown]
# ## Data
#
# Handwritten digits of 8x8 pixels with 10 classes. Diffusion models use the range $[-1, 1]$, so that images and noise have the
# same centre.

# %%
data = simulacra.load_data(DATA, quiet=True)
data

# %% [markdown]
# ## The model in ten lines
#
# The network is conditional: it also receives the class, except for a tenth of the images. `ema=0` and a constant learning rate
# keep the training simple enough to be repeated below; the defaults are better for real use.

# %%
model = simulacra.train(
    "diffusion",
    dataset=data,
    conditional=True,
    features=FEATURES,
    batch=BATCH,
    duration=str(STEPS),
    sampling_steps=4,
    **{
        "lr": 5e-3,
        "warmup": 0,
        "schedule": "constant",
        "ema": 0,
        "precision": "float32",
        "log_every": 1,
        "snapshots": 2,
    },
    seed=0,
    out=RUNS / "diffusion",
)
simulacra.image_grid(model.sample_classes(5).transpose(0, 1).flatten(0, 1), 10)

# %% [markdown]
# Each column is a class. Some hundred steps give recognizable digits with errors; the loss decreases slowly afterwards, because
# most of it is the noise that no network can predict.
#
# The training stored images of the same noise at several steps (snapshots); here before the training, half-way and at its end.

# %%
for path in sorted((RUNS / "diffusion" / "samples").glob("*.png")):
    with Image.open(path) as snapshot:
        width, height = snapshot.size
        display(snapshot.crop((0, 0, width, height // 8)))

# %% [markdown]
# ## From scratch: the forward process
#
# At time $t \in [0, 1]$ an image $x$ is mixed with noise $\epsilon \sim \mathcal N(0, I)$ (Ho et al., eq. 4):
#
# $$z_t = \alpha_t x + \sigma_t \epsilon, \qquad \alpha_t^2 + \sigma_t^2 = 1 .$$
#
# $\alpha_t^2$ is written $\bar\alpha_t$ in the paper. In the cosine schedule $\alpha_t = \cos\theta_t$, where the angle increases
# linearly from nearly 0 to nearly $\pi/2$. It must not reach either end: at $\sigma = 0$ the noise is undefined, at $\alpha = 0$
# the image is.


# %%
def levels(time: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of times in [0, 1] (cosine schedule)."""
    first, last = math.pi / 2 * 0.008 / 1.008, math.pi / 2 * 0.996
    angle = first + (last - first) * time.double()
    return angle.cos(), angle.sin()


def column(values: Tensor) -> Tensor:
    """Return [b] as factors [b 1 1 1] of images."""
    return values.float().reshape(-1, 1, 1, 1)


digits = data.test.head(3).images
noise = torch.randn(3, data.spec.dimensions, generator=torch.Generator().manual_seed(0))
strip = [digits]
for time in torch.linspace(0, 1, 8)[1:]:
    alpha, sigma = levels(time)
    noisy = alpha.float() * (2 * digits - 1) + sigma.float() * noise.view_as(digits)
    strip.append((0.5 * (noisy + 1)).clamp(0, 1))
forward = model.module.forward_process(digits, torch.cat([noise, torch.zeros(3, 1)], 1), 8)
torch.testing.assert_close(torch.stack(strip), forward, rtol=0, atol=1e-6)
simulacra.image_grid(torch.stack(strip, 1).flatten(0, 1), 8)

# %% [markdown]
# ## From scratch: the U-Net
#
# The network has the inputs $z_t$, $t$ and the class. The encoder halves the image, the decoder doubles it again and receives the
# encoder's feature maps of the same size (skip connections). Time and class enter every block as a vector: the time as sines and
# cosines of several frequencies, the class as a row of a table; the last row means "no class".


# %%
def time_embedding(time: Tensor, width: int) -> Tensor:
    """Return [b width]: sines and cosines of the step number, 1000 times the time."""
    powers = torch.arange(width // 2) / (width // 2 - 1)
    angles = 1000 * time.float()[:, None] * torch.exp(-math.log(10_000) * powers)
    return torch.cat([angles.sin(), angles.cos()], 1)


def norm(width: int) -> nn.GroupNorm:
    """Return group normalization with 16 channels per group."""
    return nn.GroupNorm(max(1, width // 16), width, eps=1e-6)


class Block(nn.Module):
    """Residual block of two convolutions, between which the embedding is added; attention over all pixels if wanted."""

    def __init__(self, inputs: int, outputs: int, embedding: int, attention: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(
            norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.embedding = nn.Linear(embedding, outputs)
        self.second = nn.Sequential(
            norm(outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.first(features) + self.embedding(embedding)[:, :, None, None]
        return self.attention(self.shortcut(features) + self.second(hidden))


class Attention(nn.Module):
    """Every pixel reads from all others: softmax(Q K^T / sqrt(d)) V, added to the features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.output = (
            norm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm(features).flatten(2).transpose(1, 2)).chunk(3, 2)
        weights = (query @ key.transpose(1, 2) / math.sqrt(query.shape[2])).softmax(2)
        return features + self.output(weights @ value).transpose(1, 2).unflatten(
            2, features.shape[2:]
        )


class UNet(nn.Module):
    """From noisy images [b c h w], times [b] and labels [b] to an output [b c h w]; the sides must be divisible."""

    def __init__(self, channels: int, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.width, size = widths[0], 4 * widths[0]
        self.time = nn.Sequential(nn.Linear(widths[0], size), nn.SiLU(), nn.Linear(size, size))
        self.label = nn.Embedding(classes + 1, size)
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            Block(a, b, size) for a, b in zip((widths[0], *widths), widths, strict=False)
        )
        self.middle = nn.ModuleList(
            Block(widths[-1], widths[-1], size, attention) for attention in (True, False)
        )
        inputs = (widths[-1], *widths[:0:-1])
        self.up = nn.ModuleList(
            Block(a + b, b, size) for a, b in zip(inputs, widths[::-1], strict=True)
        )
        self.last = nn.Sequential(
            norm(widths[0]), nn.SiLU(), nn.ConvTranspose2d(widths[0], channels, 3, padding=1)
        )

    def forward(self, noisy: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        embedding = F.silu(self.time(time_embedding(time, self.width)) + self.label(labels))
        features, skips = self.first(noisy), []
        for index, block in enumerate(self.down):
            features = block(F.avg_pool2d(features, 2) if index else features, embedding)
            skips.append(features)
        for block in self.middle:
            features = block(features, embedding)
        for index, block in enumerate(self.up):
            features = F.interpolate(features, scale_factor=2) if index else features
            features = block(torch.cat([features, skips.pop()], 1), embedding)
        return self.last(features)


def with_weights(module: nn.Module) -> UNet:
    """Return this U-Net with the weights of the toolkit's, which has its parameters in the same order."""
    mine = UNet(data.spec.channels, FEATURES, len(data.spec.classes))
    mine.load_state_dict(
        dict(zip(mine.state_dict(), module.network.state_dict().values(), strict=True))
    )
    return mine


# %% [markdown]
# ## From scratch: the loss
#
# The network predicts $v = \alpha_t \epsilon - \sigma_t x$ (Salimans & Ho 2022), which determines image and noise:
#
# $$\hat x = \alpha_t z_t - \sigma_t v, \qquad \hat\epsilon = \sigma_t z_t + \alpha_t v .$$
#
# The loss is the squared error of the **noise** (Ho et al., eq. 14), a mean over pixels and images. Since
# $\hat\epsilon - \epsilon = \alpha_t (\hat v - v)$, it equals $\alpha_t^2 \lVert \hat v - v \rVert^2$. Each image of a batch
# has its own $t$; all together they are evenly spaced with one random offset, which makes the loss less noisy.
#
# The input of the network is scaled to unit variance. A tenth of the labels is replaced by "no class".


# %%
def predicted_v(network: UNet, noisy: Tensor, time: Tensor, labels: Tensor) -> Tensor:
    """Return the output of the network for noisy images at times [b], after scaling its input to unit variance."""
    alpha, sigma = levels(time)
    scale = 1 / (0.25 * alpha**2 + sigma**2).sqrt()  # images have a standard deviation of about 0.5
    return network(column(scale) * noisy, time, labels)


def diffusion_loss(network: UNet, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean squared error of the estimated noise."""
    count, x = len(images), 2 * images - 1
    time = (
        torch.arange(count, dtype=torch.float64) / count + torch.rand(1, dtype=torch.float64)
    ) % 1
    alpha, sigma = map(column, levels(time))
    noise = torch.randn_like(x)
    noisy = alpha * x + sigma * noise
    labels = torch.where(torch.rand(count) < 0.1, len(data.spec.classes), labels)
    v = predicted_v(network, noisy, time, labels)
    return ((sigma * noisy + alpha * v - noise) ** 2).mean()


# %% [markdown]
# The loop: batch, loss, gradients clipped at norm 1, Adam. Batches and random numbers are those of the toolkit: batch number $i$
# and the numbers of step $i$ are functions of the seed and $i$. The losses are equal up to the rounding of different convolution
# kernels, which grows slowly with the steps; hence the relative tolerance of $10^{-3}$ over the first ten steps.

# %%
first = simulacra.untrained("diffusion", dataset=data, conditional=True, features=FEATURES, seed=0)
network, losses = with_weights(first), []
optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
batches = Batches(data.train, BATCH, seed=0)
for step in range(10):
    batch = batches.batch(step)
    reseed(0, "step", step, 0, 0, 0)
    loss = diffusion_loss(network, batch.images, batch.labels)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    losses.append(loss.item())
logged = [
    record["denoiser/loss"] for record in model.run.reports.read() if record["kind"] == "train"
][:10]
print("  ".join(f"{mine:.4f}/{theirs:.4f}" for mine, theirs in zip(losses, logged, strict=True)))
torch.testing.assert_close(torch.tensor(losses), torch.tensor(logged), rtol=1e-3, atol=0)

# %% [markdown]
# ## From scratch: the samplers
#
# **DDPM** (Ho et al., algorithm 2) samples each level $s$ given the level $t$ before it, as if $\hat x$ were the image. With
# $\alpha_{t|s} = \alpha_t / \alpha_s$ and $\sigma_{t|s}^2 = \sigma_t^2 - \alpha_{t|s}^2 \sigma_s^2$
#
# $$z_s \sim \mathcal N\Bigl(\frac{\alpha_{t|s} \sigma_s^2}{\sigma_t^2} z_t + \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} \hat x,\;
# \frac{\sigma_s^2 \sigma_{t|s}^2}{\sigma_t^2} I\Bigr).$$
#
# **DDIM** (Song et al., eq. 12 with $\eta = 0$) keeps the estimated noise: $z_s = \alpha_s \hat x + \sigma_s \hat\epsilon$. It
# has no random numbers after the first. The last level is the clean image, where both return $\hat x$.
#
# The function receives the network and its starting noise; DDPM needs new noise in every step as well.


# %%
@torch.no_grad()
def sample(
    network: UNet,
    z: Tensor,
    labels: Tensor,
    steps: int,
    *,
    draw: Callable[[], Tensor] | None = None,
    guidance: float = 1.0,
) -> Tensor:
    """Return images [b c h w] in [0, 1] by DDIM, or by DDPM if `draw` returns new noise."""
    for time, following in torch.linspace(1, 0, steps + 1, dtype=torch.float64).unfold(0, 2, 1):
        alpha, sigma = levels(time)
        alpha_s, sigma_s = levels(following) if following > 0 else (torch.ones(()), torch.zeros(()))
        x = estimated_image(network, z, time.expand(len(z)), labels, guidance)
        if draw is None:
            z = alpha_s.float() * x + sigma_s.float() * (z - alpha.float() * x) / sigma.float()
            continue
        ratio = alpha / alpha_s
        step_variance = sigma**2 - ratio**2 * sigma_s**2
        z = (ratio * sigma_s**2 / sigma**2).float() * z + (
            alpha_s * step_variance / sigma**2
        ).float() * x
        if following > 0:
            z = z + (sigma_s**2 * step_variance / sigma**2).sqrt().float() * draw()
    return (0.5 * (z + 1)).clamp(0, 1)


def estimated_image(
    network: UNet, z: Tensor, time: Tensor, labels: Tensor, guidance: float
) -> Tensor:
    """Return the estimated image, clipped to [-1, 1]; with a guidance scale of w, uncond + w (cond - uncond)."""
    alpha, sigma = map(column, levels(time))
    x = alpha * z - sigma * predicted_v(network, z, time, labels)
    if guidance != 1:
        without = torch.full_like(labels, len(data.spec.classes))
        unconditional = alpha * z - sigma * predicted_v(network, z, time, without)
        x = unconditional + guidance * (x - unconditional)
    return x.clamp(-1, 1)


# %% [markdown]
# The images equal those of the toolkit for the same noise and the trained weights.

# %%
trained = with_weights(model.module)
labels = torch.arange(10)
noise = torch.randn(
    10, data.spec.dimensions + 1, generator=torch.Generator().manual_seed(1)
)  # the last number draws a label
z = noise[:, :-1].reshape(10, *data.spec.shape)


def toolkit(sampler: str, steps: int, **settings: float) -> Tensor:
    """Return the images of the toolkit for the same noise and labels."""
    plan = SamplingPlan(sampler, steps, **settings)
    with torch.no_grad():
        return model.module.sample_with_plan(noise, Condition(labels), plan, lambda: None)


ddim = sample(trained, z, labels, 10)
streams = Streams(noise)  # of the toolkit: new noise as a function of an image's own first noise
ddpm = sample(trained, z, labels, 20, draw=lambda: streams.draw(*data.spec.shape))
torch.testing.assert_close(ddim, toolkit("ddim", 10), rtol=0, atol=2e-3)
torch.testing.assert_close(ddpm, toolkit("ancestral", 20), rtol=0, atol=2e-3)
simulacra.image_grid(torch.cat([ddim, ddpm]), 10)  # above DDIM, below DDPM

# %% [markdown]
# The path from noise to an image, as the toolkit's default sampler takes it:

# %%
with torch.no_grad():
    states = model.module.reverse_process(noise[:3], 10, Condition(labels[:3]))
simulacra.image_grid(states.transpose(0, 1).flatten(0, 1), 10)

# %% [markdown]
# ## Guidance
#
# Classifier-free guidance (Ho & Salimans 2022) extrapolates from the estimate without a class to the estimate with it. A larger
# scale $w$ gives images that agree better with their class and differ less from each other. A nearest-neighbour classifier on the
# training images measures the agreement.


# %%
train = data.train.head(len(data.train))


def classified(images: Tensor) -> Tensor:
    """Return the class of the nearest training image."""
    return train.labels[torch.cdist(images.flatten(1), train.images.flatten(1)).argmin(1)]


many = torch.arange(40) % 10
start = torch.randn(40, *data.spec.shape, generator=torch.Generator().manual_seed(2))
guided = {scale: sample(trained, start, many, 8, guidance=scale) for scale in (0.0, 1.0, 2.5)}
for scale, images in guided.items():
    agreement = (classified(images) == many).float().mean()
    spread = images.unflatten(0, (4, 10)).var(0).mean().sqrt()
    print(
        f"guidance scale {scale:g}: label agreement {agreement:.0%}, standard deviation within a class {spread:.3f}"
    )
torch.testing.assert_close(
    sample(trained, z, labels, 10, guidance=3.0),
    toolkit("ddim", 10, guidance_scale=3.0),
    rtol=0,
    atol=1e-2,
)
for images in guided.values():
    display(simulacra.image_grid(images[:20], 10))

# %% [markdown]
# With scale 0 the class is ignored; 1 is the conditional model itself.
#
# ## Break it: the variance of skipped steps
#
# A chain of 1000 steps can be sampled with 20 of them. A frequent mistake: the code goes from step $t$ to $t - 50$, but mean and
# variance are still those of the step from $t$ to $t - 1$. To know the effect exactly, take Gaussian data, $x \sim \mathcal N(0,
# 0.5^2)$, whose best estimate is known: $\hat x = \alpha s^2 z / (\alpha^2 s^2 + \sigma^2)$ with $s = 0.5$. No network can be
# blamed: the samples must have a standard deviation of about 0.5.


# %%
def gaussian_samples(steps: int, wrong: bool) -> Tensor:
    """Return samples of DDPM with the ideal denoiser of N(0, 0.5^2)."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5_000, generator=generator)
    for time, kept in torch.linspace(1, 0, steps + 1, dtype=torch.float64).unfold(0, 2, 1):
        following = (
            time - 1e-3 if wrong else kept
        )  # the mistake: t - 1 instead of the next step that is kept
        (alpha, sigma), (alpha_s, sigma_s) = levels(time), levels(following)
        x = alpha * 0.25 * z / (0.25 * alpha**2 + sigma**2)
        ratio = alpha / alpha_s
        variance = sigma**2 - ratio**2 * sigma_s**2
        mean = ratio * sigma_s**2 / sigma**2 * z + alpha_s * variance / sigma**2 * x
        z = (
            mean
            + (sigma_s**2 * variance / sigma**2).sqrt() * torch.randn(len(z), generator=generator)
        ).float()
    return z


for steps in (20, 100, 1000):
    right, wrong = (gaussian_samples(steps, mistake).std() for mistake in (False, True))
    print(
        f"{steps:4} steps: standard deviation {right:.3f}, with the mistake {wrong:.3f} (data: 0.5)"
    )
assert abs(gaussian_samples(20, wrong=False).std() - 0.5) < 0.1
assert gaussian_samples(20, wrong=True).std() > 0.9

# %% [markdown]
# Without the mistake the deviation is slightly too small with few steps, because the variance of DDPM is exact only for a known
# image, and it converges to that of the data. With the mistake almost all of the noise remains, no error is raised, and with
# all 1000 steps the mistake does not exist. In
# the toolkit every step is computed from its two levels (`posterior_variance(level, next_level)`), never from a step number,
# and a test samples Gaussian data with few steps. With a network the mistake is visible in pictures, and the evaluation reports
# it: the distance of generated images to their nearest training image increases.


# %%
@torch.no_grad()
def sample_wrongly(network: UNet, z: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Return images by DDPM with the mistake."""
    for time in torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1]:
        (alpha, sigma), (alpha_s, sigma_s) = levels(time), levels(time - 1e-3)
        x, ratio = estimated_image(network, z, time.expand(len(z)), labels, 1.0), alpha / alpha_s
        variance = sigma**2 - ratio**2 * sigma_s**2
        z = (ratio * sigma_s**2 / sigma**2).float() * z + (
            alpha_s * variance / sigma**2
        ).float() * x
        z = z + (sigma_s**2 * variance / sigma**2).sqrt().float() * torch.randn_like(z)
    return (0.5 * (z + 1)).clamp(0, 1)


torch.manual_seed(0)
broken = sample_wrongly(trained, z, labels, 20)
for name, images in {"DDPM": ddpm, "with the mistake": broken}.items():
    nearest = torch.cdist(images.flatten(1), train.images.flatten(1)).amin(1).mean()
    print(f"{name}: mean distance to the nearest training image {nearest:.2f}")
simulacra.image_grid(broken, 10)

# %% [markdown]
# ## Exercises
#
# 1. DDIM with $\eta = 1$ draws noise in each step and has the variance of DDPM. Check with the toolkit that it gives the same
#    images as `ancestral`.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
difference = (toolkit("ddim", 12, eta=1.0) - toolkit("ancestral", 12)).abs().max()
print(f"largest difference: {difference:.1e}")
assert difference < 2e-3

# %% [markdown]
# 2. How does the error of the estimated image depend on the noise level? Measure the mean squared error of $\hat x$ on test
#    images at $t = 0.1, 0.5, 0.9$, and compare with that of the mean image, which is what a network can say about pure noise.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
test = data.test.head(200)
x = 2 * test.images - 1
mean_error = ((x - (2 * train.images - 1).mean(0)) ** 2).mean()
for value in (0.1, 0.5, 0.9):
    time = torch.full((200,), value)
    alpha, sigma = map(column, levels(time))
    noisy = alpha * x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        error = ((estimated_image(trained, noisy, time, test.labels, 1.0) - x) ** 2).mean()
    print(f"t = {value}: {error:.3f} (mean image: {mean_error:.3f})")

# %% [markdown]
# 3. Generate the same ten images with 2, 5, 10 and 20 steps of DDIM. From how many steps on do they hardly change?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
rows = {steps: sample(trained, z, labels, steps) for steps in (2, 5, 10, 20)}
for steps, images in rows.items():
    print(
        f"{steps:3} steps: root mean squared difference to 20 steps {((images - rows[20]) ** 2).mean().sqrt():.3f}"
    )
display(simulacra.image_grid(torch.cat([*rows.values()]), 10))

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("diffusion")
