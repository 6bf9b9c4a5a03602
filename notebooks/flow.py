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
# # Flow matching
#
# Flow matching connects every image with a noise vector by a straight line and trains a network to estimate the velocity along
# these lines. You train such a model with the toolkit, write its loss and its Euler and Heun samplers in plain PyTorch, check
# that losses and images are those of the toolkit, and measure how many steps a sampler needs.
#
# Lipman et al. 2022, *Flow matching for generative modeling*; Liu et al. 2022, *Flow straight and fast*.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from IPython.display import display
from torch import Tensor, nn

import simulacra
from simulacra.core.capabilities import SamplingPlan
from simulacra.core.condition import UNCONDITIONAL
from simulacra.core.progress import SILENT
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.metrics.diversity import diversity

DATA, STEPS, FEATURES, BATCH = "digits", 80, (16, 32), 32
# For MNIST: DATA, STEPS, FEATURES, BATCH = "mnist", 4000, (32, 64, 64), 128 (half an hour).
RUNS = Path(tempfile.mkdtemp())
torch.set_num_threads(1)

# %% [markdown]
# ## Data

# %%
data = simulacra.load_data(DATA, quiet=True)
data

# %% [markdown]
# ## The model in ten lines

# %%
model = simulacra.train(
    "flow",
    dataset=data,
    features=FEATURES,
    batch=BATCH,
    duration=str(STEPS),
    sampling_steps=2,
    **{
        "lr": 5e-3,
        "warmup": 0,
        "schedule": "constant",
        "ema": 0,
        "precision": "float32",
        "log_every": 1,
        "snapshots": 1,
    },
    seed=0,
    out=RUNS / "flow",
)
simulacra.image_grid(model.sample(20, plan=model.plan(steps=10)), 10)

# %% [markdown]
# `ema=0` and a constant learning rate keep the training simple enough to be repeated below. A longer training with the defaults
# gives better images.
#
# ## From scratch: the loss
#
# An image $x \in [-1, 1]$ and noise $\epsilon \sim \mathcal N(0, I)$ are connected by a line that is traversed at constant
# velocity:
#
# $$z_t = (1 - t)\,x + t\,\epsilon, \qquad \frac{\mathrm d z_t}{\mathrm d t} = \epsilon - x .$$
#
# The network $u_\theta(z_t, t)$ is trained with the squared error of this velocity (Lipman et al., eq. 23; their time has the
# opposite direction):
#
# $$\mathcal L = \mathbb E_{x, \epsilon, t}\, \lVert u_\theta(z_t, t) - (\epsilon - x) \rVert^2 .$$
#
# Many lines pass through the same point $z$. The network cannot know which one is meant, so the best output is the **mean**
# velocity $\mathbb E(\epsilon - x \mid z_t = z)$. The loss therefore never reaches zero.
#
# Times are at least 0.001, because $x$ cannot be computed from the velocity at $t = 0$. The network's input is scaled to unit
# variance. The network is a U-Net; the notebook `diffusion` writes it from scratch, here it is that of the toolkit.


# %%
def velocity(network: nn.Module, z: Tensor, time: Tensor) -> Tensor:
    """Return the estimated velocity [b c h w] at points z and times [b]; images have a standard deviation of about 0.5."""
    scale = 1 / (0.25 * (1 - time) ** 2 + time**2).sqrt()
    return network(scale.float().reshape(-1, 1, 1, 1) * z, time)


def flow_loss(network: nn.Module, images: Tensor) -> Tensor:
    """Return the mean squared error of the velocity; the times of a batch are evenly spaced with one random offset."""
    count, x = len(images), 2 * images - 1
    time = (
        torch.arange(count, dtype=torch.float64) / count + torch.rand(1, dtype=torch.float64)
    ) % 1
    time = 0.001 + 0.999 * time
    t, noise = time.float().reshape(-1, 1, 1, 1), torch.randn_like(x)
    z = (1 - t) * x + t * noise
    return ((velocity(network, z, time) - (noise - x)) ** 2).mean()


# %% [markdown]
# The loop, with the batches and random numbers of the toolkit. The losses of the first steps are equal up to rounding.

# %%
network = simulacra.untrained("flow", dataset=data, features=FEATURES, seed=0).network
optimizer, losses = torch.optim.Adam(network.parameters(), lr=5e-3), []
batches = Batches(data.train, BATCH, seed=0)
for step in range(10):
    images = batches.batch(step).images
    reseed(0, "step", step, 0, 0, 0)
    loss = flow_loss(network, images)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    losses.append(loss.item())
logged = [
    record["denoiser/loss"] for record in model.run.reports.read() if record["kind"] == "train"
][:10]
print("  ".join(f"{mine:.4f}/{theirs:.4f}" for mine, theirs in zip(losses, logged, strict=True)))
torch.testing.assert_close(torch.tensor(losses), torch.tensor(logged), rtol=1e-4, atol=0)

# %% [markdown]
# ## From scratch: Euler and Heun
#
# Sampling solves $\mathrm d z / \mathrm d t = u(z, t)$ from $t = 1$ (noise) to $t = 0$ (image).
#
# - **Euler**: $z_{s} = z_t + (s - t)\,u(z_t, t)$. One evaluation of the network per step, error proportional to the step size.
# - **Heun**: an Euler step, then the mean of the velocities at both ends. Two evaluations, error proportional to the square of
#   the step size. The last step ends at $t = 0$, where the network is not evaluated, and is a step of Euler.
#
# As in the toolkit, the image that a velocity implies, $\hat x = z - t\,u$, is clipped to $[-1, 1]$.


# %%
def clipped_velocity(network: nn.Module, z: Tensor, time: Tensor) -> Tensor:
    """Return the velocity towards the estimated image, which is clipped to [-1, 1]."""
    image = (z - time.float() * velocity(network, z, time.expand(len(z)))).clamp(-1, 1)
    return (z - image) / time.float()


@torch.no_grad()
def sample(network: nn.Module, z: Tensor, steps: int, heun: bool = False) -> Tensor:
    """Return images [b c h w] in [-1, 1] from noise, in equal steps of time."""
    times = torch.cat(
        [
            0.001 + 0.999 * torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1],
            torch.zeros(1).double(),
        ]
    )
    for time, following in times.unfold(0, 2, 1):
        step = (following - time).float()
        u = clipped_velocity(network, z, time)
        moved = z + step * u
        if heun and following > 0:
            moved = z + step * (u + clipped_velocity(network, moved, following)) / 2
        z = moved
    return z


trained = model.module.network
z = torch.randn(10, *data.spec.shape, generator=torch.Generator().manual_seed(1))
for sampler, steps in (("euler", 8), ("heun", 4)):
    mine = (0.5 * (sample(trained, z, steps, sampler == "heun") + 1)).clamp(0, 1)
    with torch.no_grad():
        theirs = model.module.sample_with_plan(
            z.flatten(1), UNCONDITIONAL, SamplingPlan(sampler, steps), lambda: None
        )
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)
    display(simulacra.image_grid(mine, 10))

# %% [markdown]
# ## How straight are the paths?
#
# The lines of the training are straight, but the solutions of the ODE follow the mean velocity and bend. The length of a path
# divided by the distance of its ends is 1 for a straight one. The second number compares velocities: along a straight path each
# of them equals the difference of the ends.

# %%
points, reached = [z], z
with torch.no_grad():
    times = torch.linspace(1, 0.001, 41, dtype=torch.float64)
    for time, following in times.unfold(0, 2, 1):
        reached = reached + (following - time).float() * clipped_velocity(trained, reached, time)
        points.append(reached)
path = torch.stack(points).flatten(2)
length, distance = (path[1:] - path[:-1]).norm(dim=2).sum(0), (path[-1] - path[0]).norm(dim=1)
print(f"length / distance: {(length / distance).mean():.3f}")
steps = (path[1:] - path[:-1]) * 40
print(
    f"relative deviation of the velocity: {((steps - (path[-1] - path[0])).norm(dim=2) / distance).square().mean().sqrt():.2f}"
)
shown = torch.stack(points)[::5, :4].transpose(0, 1).flatten(0, 1)
simulacra.image_grid((0.5 * (shown + 1)).clamp(0, 1), 9)

# %% [markdown]
# ## Steps against quality
#
# The error of a sampler is the difference to a very fine solution for the same noise. The quality of images is another number:
# here the distance to the nearest training image, and their diversity (mean distance of two generated images).

# %%
known = 2 * data.train.head(len(data.train)).images - 1
start = torch.randn(40, *data.spec.shape, generator=torch.Generator().manual_seed(2))
exact = sample(trained, start, 24, heun=True)


def quality(images: Tensor) -> str:
    """Return the error, the distance to the nearest training image, and the mean distance of two images."""
    rows = images.flatten(1)
    error = (images - exact).square().mean().sqrt()
    return f"{error:8.3f}{torch.cdist(rows, known.flatten(1)).amin(1).mean():12.2f}{torch.pdist(rows).mean():12.2f}"


errors: dict[tuple[str, int], float] = {}
print("sampler  evaluations   error    nearest   diversity")
for count in (1, 3, 7, 15):  # evaluations of the network
    for name, images in {
        "euler": sample(trained, start, count),
        "heun": sample(trained, start, (count + 1) // 2, True),
    }.items():
        errors[name, count] = (images - exact).square().mean().sqrt().item()
        print(f"{name:10}{count:10}{quality(images)}")
assert errors["euler", 15] < errors["euler", 7] < errors["euler", 3] < errors["euler", 1]
assert errors["heun", 15] < errors["euler", 15]

# %% [markdown]
# ## Break it: too few steps, and time in the wrong direction
#
# **One step of Euler.** At $t = 1$ the noise says nothing about the image, so the best velocity leads to the mean of all
# images. All samples are alike; that they are *near* the data in the table above is no contradiction: the distance to the
# nearest image does not measure diversity.

# %%
one_step = sample(trained, start, 1)
mean_image = known.mean(0)
print(
    f"mean distance of two images: {torch.pdist(one_step.flatten(1)).mean():.2f}, of training images:",
    end=" ",
)
print(f"{torch.pdist(known[:300].flatten(1)).mean():.2f}")
display(
    simulacra.image_grid((0.5 * (torch.cat([one_step[:9], mean_image[None]]) + 1)).clamp(0, 1), 10)
)  # last: mean image

# %% [markdown]
# The toolkit reports it: `simulacra evaluate` measures the diversity of generated images in relation to real ones, and warns of
# mode collapse. It does so in the features of a classifier; here the same functions are applied to pixels.

# %%
with SILENT.task("diversity", None, "images") as meter:
    measured = diversity(one_step.flatten(1), known[:300].flatten(1), meter)
warnings = evaluation_warnings({"diversity": measured}, data.spec.dimensions)
print(f"diversity {measured.value:.2f}: {warnings}")
assert "mode collapse" in warnings[0]

# %% [markdown]
# **Time reversed.** Papers and libraries differ in the direction of time: in Lipman et al. $t = 0$ is noise, here it is the
# image. A sampler that passes $1 - t$ to the network runs without an error. Only at $t = 0.5$ the network
# has the right time; at the beginning it takes noise for an image, at the end an image for noise.


# %%
def reversed_time(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the network as a sampler with the other convention of time would call it."""
    return lambda noisy, time: network(noisy, 1.001 - time)


confused = sample(reversed_time(trained), start, 16)
print("sampler  evaluations   error    nearest   diversity")
print(f"reversed          16{quality(confused)}")
assert (confused - exact).square().mean() > 10 * (
    sample(trained, start, 16) - exact
).square().mean()
simulacra.image_grid((0.5 * (confused[:10] + 1)).clamp(0, 1), 10)

# %% [markdown]
# The distance to the nearest training image reveals this one. A test with known data reveals it before any training: the
# toolkit's tests sample normal data with the exact velocity and compare the standard deviation.
#
# ## Exercises
#
# 1. One pixel is $-1$ or $1$ with equal probability. Derive $\mathbb E(x \mid z_t)$ and the velocity, and map noise to data
#    with 20 steps of Euler. Which noise becomes $1$?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
# z | x = +-1 is N(+-(1 - t), t^2), so that E(x | z) = tanh((1 - t) z / t^2), and the velocity is (z - E(x | z)) / t.
points = torch.randn(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
values = points
for time, following in torch.linspace(1, 0, 21, dtype=torch.float64).unfold(0, 2, 1):
    values = (
        values + (following - time) * (values - torch.tanh((1 - time) * values / time**2)) / time
    )
print(f"share of positive noise that becomes 1: {(values[points > 0] > 0.9).double().mean():.1%}")
assert torch.equal(values > 0, points > 0)

# %% [markdown]
# 2. A diffusion model predicts $v = \alpha \epsilon - \sigma x$. Which velocity $\epsilon - x$ does an output $v$ at the point
#    $z = \alpha x + \sigma \epsilon$ imply? Check it with numbers.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
# With alpha^2 + sigma^2 = 1: x = alpha z - sigma v and noise = sigma z + alpha v, so the velocity is (sigma - alpha) z + (alpha +
# sigma) v.
alpha, sigma = 0.8, 0.6
x, noise = torch.randn(2, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
v, mixed = alpha * noise - sigma * x, alpha * x + sigma * noise
torch.testing.assert_close((sigma - alpha) * mixed + (alpha + sigma) * v, noise - x)

# %% [markdown]
# 3. The ODE can be solved in the other direction as well. Encode the first test images as noise with 20 steps of Euler, decode
#    them, and compare with the originals.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
originals = 2 * data.test.head(10).images - 1
encoded = originals
times = torch.linspace(0.001, 1, 21, dtype=torch.float64)
with torch.no_grad():
    for time, following in times.unfold(0, 2, 1):
        encoded = encoded + (following - time).float() * velocity(trained, encoded, time.expand(10))
decoded = sample(trained, encoded, 20)
print(f"standard deviation of the latents {encoded.std():.2f}; root mean squared error", end=" ")
print(f"{(decoded - originals).square().mean().sqrt():.3f}")
display(simulacra.image_grid((0.5 * (torch.cat([originals, decoded]) + 1)).clamp(0, 1), 10))

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("flow")
