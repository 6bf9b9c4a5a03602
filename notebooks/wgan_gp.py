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
# # Wasserstein GAN with gradient penalty (WGAN-GP)
#
# A critic estimates the Wasserstein distance between real and generated images, and a generator minimizes the estimate
# (Arjovsky et al. 2017; Gulrajani et al. 2017). This notebook trains a GAN that collapses and a WGAN-GP that does not, on the
# same data. It then writes the training of the WGAN-GP from scratch, with the same losses and weights as the toolkit's, and
# shows why the critic has no batch norm. Definitions and settings: the page *WGAN-GP* of the documentation
# (`docs/families/wgan_gp.md`).

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile
from collections.abc import Callable

import torch
from IPython.display import display
from torch import Tensor, nn

import simulacra

DATA, STEPS = "digits", 80  # MNIST: "mnist", 1000
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The data set `ring`: points of the plane from eight narrow Gaussians on a circle, as images of one pixel with two channels.
# The density is known, so the modes that a model covers can be counted. The handwritten digits follow below.

# %%
ring = simulacra.load_data("ring")
simulacra.image_grid(ring.train.head(1000).images, 1).resize((256, 256))

# %% [markdown]
# ## The model in ten lines
#
# First a GAN with Adam's usual momentum, `beta1=0.9`. Its points move around together and cover no mode, and the toolkit
# reports it:

# %%
POINTS = {"data": "ring", "noise": 2, "hidden": [64, 64], "batch": 256, "ema": 0.98}
gan = simulacra.train(
    "gan", **POINTS, duration="300", beta1=0.9, lr=3e-3, snapshots=5, out=f"{RUNS}/gan", quiet=True
)
for warning in simulacra.status(gan.run.path).training_warnings:
    print(warning.message)
simulacra.image_grid(gan.sample(1000), 1).resize((256, 256))

# %% [markdown]
# The WGAN-GP, whose critic is updated twice per step. Each step reduces the estimated distance between both distributions:

# %%
WGAN = {"preset": "dense", "critic_steps": 2, "penalty": 0.1, "lr": 8e-3, "schedule": "cosine"}
model = simulacra.train(
    "wgan_gp", **POINTS, **WGAN, duration="420", snapshots=2, log_every=10, out=f"{RUNS}/wgan"
)
simulacra.image_grid(model.sample(1000), 1).resize((256, 256))

# %% [markdown]
# The number of modes covered, and the fraction of points within three standard deviations of a mode, of both:

# %%
for name, run in {"GAN": gan, "WGAN-GP": model}.items():
    found = run.evaluate(samples=2000, metrics="known_density")["metrics"]
    print(
        f"{name}: {found['modes_covered']['value']:.0f} of 8 modes, {found['high_quality_share']['value']:.0%} near a mode"
    )
assert found["modes_covered"]["value"] == 8

# %% [markdown]
# The same family on images. Once the critic is trained, its `distance_estimate` decreases as the images improve, unlike the
# losses of a GAN:

# %%
SETTINGS = {"preset": "dense", "hidden": [128], "noise": 16, "seed": 0}
digits = simulacra.train(
    "wgan_gp",
    data=DATA,
    duration=f"{STEPS}",
    lr=2e-3,
    ema=0.95,
    snapshots=2,
    log_every=10,
    out=f"{RUNS}/digits",
    **SETTINGS,
)
display(simulacra.image_grid(digits.sample(30), 10))
estimates = [
    record["critic/distance_estimate"]
    for record in digits.run.reports.read()
    if record["kind"] == "train"
]
print("distance estimate:", " ".join(f"{estimate:.2f}" for estimate in estimates[::2]))

# %% [markdown]
# ## From scratch
#
# **Critic and generator.** The critic $f$ returns one number for each image, without a sigmoid. It rescales pixels to $[-1,
# 1]$. Neither network has batch norm.


# %%
class Rescale(nn.Module):
    """Rescale images from [0, 1] to [-1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return 2 * images - 1."""
        return 2 * images - 1


def networks(shape: tuple[int, ...]) -> tuple[nn.Sequential, nn.Sequential]:
    """Return a generator from noise [b 16] to images [b c h w], and a critic from images to values [b 1]."""
    pixels = torch.Size(shape).numel()
    generator = nn.Sequential(
        nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, pixels), nn.Unflatten(1, shape), nn.Sigmoid()
    )
    critic = nn.Sequential(
        Rescale(), nn.Flatten(), nn.Linear(pixels, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )
    return generator, critic


# %% [markdown]
# **Distance.** Over all functions $f$ with Lipschitz constant at most 1 (Arjovsky et al. 2017, eq. 2),
#
# $$W_1(p, q) = \sup_{\lVert f \rVert_L \le 1} \mathbb E_{x \sim p} f(x) - \mathbb E_{x \sim q} f(x).$$
#
# **Gradient penalty.** The gradient norm of the critic is kept near 1 at random points on the lines between real and generated
# images (Gulrajani et al. 2017, eq. 3), with one mixing factor $\alpha$ for each image:
#
# $$\mathcal P = \mathbb E_{\hat x} \bigl(\lVert \nabla f(\hat x) \rVert_2 - 1\bigr)^2, \qquad
#   \hat x = \alpha x + (1 - \alpha) G(z), \quad \alpha \sim \mathcal U[0, 1].$$


# %%
def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Return the mean of (gradient norm - 1)^2 at alpha * real + (1 - alpha) * fake; alpha: [b 1 1 1] in [0, 1]."""
    points = (alpha * real + (1 - alpha) * fake).requires_grad_()
    # create_graph: the gradients can be differentiated again
    (gradients,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (((gradients**2).flatten(1).sum(1) + 1e-12).sqrt() - 1).square().mean()


# %% [markdown]
# **The steps** (their algorithm 1). The critic is updated five times, each time with new images, new noise and new $\alpha$:
# $\mathcal L_C = \mathbb E f(G(z)) - \mathbb E f(x) + 10\, \mathcal P$. Then the generator is updated once:
# $\mathcal L_G = -\mathbb E f(G(z))$. Six batches are used in each step.

# %%
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches


def copy_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Copy all parameters and buffers of a module into one of the same structure, by their order."""
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))


dataset = simulacra.load_data(DATA)
first = simulacra.untrained("wgan_gp", dataset=dataset, **SETTINGS)
generator, critic = networks(dataset.spec.shape)
copy_weights(generator, first.generator)
copy_weights(critic, first.critic)
adams = {
    network: torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.9))
    for network in (generator, critic)
}
batches = Batches(dataset.train, 64, seed=0)

# %%
CHECKED = 12  # steps
losses = []
for step in range(CHECKED):
    critic_losses = []
    for repeat in range(5):
        reseed(0, "step", step, 0, repeat, 0)
        real = batches.batch(6 * step + repeat).images
        with torch.no_grad():
            fake = generator(torch.randn(64, 16))
        penalty = gradient_penalty(critic, real, fake, torch.rand(64, 1, 1, 1))
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        adams[critic].zero_grad()
        loss.backward()
        adams[critic].step()
        critic_losses.append(loss.item())

    reseed(0, "step", step, 1, 0, 0)
    loss = -critic(generator(torch.randn(64, 16))).mean()
    adams[generator].zero_grad()
    loss.backward()
    adams[generator].step()
    losses.append({"critic/loss": sum(critic_losses) / 5, "generator/loss": loss.item()})

# %% [markdown]
# The same steps with the toolkit. The report of a step has the mean of the five losses of the critic. All losses and all final
# weights are equal up to rounding. The two players amplify differences: after 40 steps the losses differ by some thousandths.

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
    "wgan_gp",
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
        [record[name] for name in mine], list(mine.values()), rtol=1e-4, atol=1e-5
    )
for mine, theirs in ((generator, checked.module.generator), (critic, checked.module.critic)):
    torch.testing.assert_close(
        list(mine.state_dict().values()), list(theirs.state_dict().values()), rtol=1e-4, atol=1e-5
    )
print(f"{CHECKED} steps: losses and weights of generator and critic are equal")

# %% [markdown]
# ## Break it: batch norm in the critic
#
# The penalty differentiates the *sum* of the values of a batch, because that gives the gradient of every image in one backward
# pass: $\partial \sum_j f(x_j) / \partial x_i = \partial f(x_i) / \partial x_i$, provided that the value of an image depends on
# that image only. Batch norm normalizes with the mean and the variance of the batch, so that the value of each image depends on
# all images. Here are the norms of $\partial f(x_j) / \partial x_i$ for four images, with and without batch norm:


# %%
def critic_with(norm: type[nn.Module]) -> nn.Sequential:
    """Return a critic with a normalization after its first layer."""
    torch.manual_seed(0)
    pixels = dataset.spec.dimensions
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 128), norm(128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )


def influence(critic: nn.Module, images: Tensor) -> Tensor:
    """Return the norm of the gradient of the value of image j (column) with respect to image i (row): [b b]."""
    jacobian = torch.autograd.functional.jacobian(lambda points: critic(points)[:, 0], images)
    # jacobian: [j i c h w]
    return jacobian.flatten(2).norm(dim=2).T


images = batches.batch(0).images[:4]
for name, norm in {"batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}.items():
    norms = influence(critic_with(norm), images)
    others = norms[~torch.eye(4, dtype=torch.bool)]
    print(f"{name}: own images {norms.diagonal().mean():.3f}, other images {others.mean():.3f}")
    print(norms.numpy().round(3))
    assert (others.mean() > 0.05) == (name == "batch norm")

# %% [markdown]
# With batch norm the "gradient norm" of the penalty is not the gradient norm of a function of one image. The error is large:
# for the sum over the batch, compared with the gradient of each value alone,

# %%
critic = critic_with(nn.BatchNorm1d)
points = batches.batch(0).images[:16].requires_grad_()
(summed,) = torch.autograd.grad(critic(points).sum(), points)
own = influence(critic, points.detach()).diagonal().mean()
print(
    f"mean norm: gradient of the sum {summed.flatten(1).norm(dim=1).mean():.1e}, gradient of each value {own:.3f}"
)

# %% [markdown]
# Batch norm even removes a large part of the gradient of the sum: a shift of all values of a feature is subtracted again. A
# penalty that pushes *this* number to 1 does not limit the slope of the critic.
#
# **How the toolkit prevents it.** There is no batch norm for the critic; layer norm, which normalizes each image separately, is
# allowed:

# %%
try:
    simulacra.train("wgan_gp", data=DATA, norm="batch", out=f"{RUNS}/refused", quiet=True)
except simulacra.UsageError as error:
    print(error)
else:
    raise AssertionError("batch norm was accepted")

# %% [markdown]
# ## Exercises
#
# **1.** With one $\alpha$ for the whole batch instead of one for each image, the penalty has the same expectation. Compare the
# standard deviations of both over 200 draws, for the critic and the generator of the training above.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
torch.manual_seed(0)
critic, generator = checked.module.critic, checked.module.generator
real = batches.batch(0).images
with torch.no_grad():
    fake = generator(torch.randn(64, 16))
for name, shape in {"one for each image": (64, 1, 1, 1), "one for the batch": (1, 1, 1, 1)}.items():
    drawn = torch.stack(
        [gradient_penalty(critic, real, fake, torch.rand(shape)).detach() for _ in range(200)]
    )
    print(f"{name}: mean {drawn.mean():.4f}, standard deviation {drawn.std():.4f}")

# %% [markdown]
# **2.** A critic is linear, $f(x) = w^\top x$ with $\lVert w \rVert = 3$. Compute its penalty, without the factor $\lambda$,
# first by hand and then with `gradient_penalty`.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
weight = 3 * torch.nn.functional.normalize(torch.randn(1, dataset.spec.dimensions))
penalty = gradient_penalty(
    lambda points: points.flatten(1) @ weight.T, real, fake, torch.rand(64, 1, 1, 1)
)
print(f"(3 - 1)^2 = {penalty:.4f}, since the gradient is w everywhere")

# %% [markdown]
# **3.** All real images are one image $a$, and all generated images are one image $b$. What is $W_1$? Train a critic on such a
# pair, with the penalty, and compare its distance estimate.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
torch.manual_seed(0)
_, critic = networks(dataset.spec.shape)
adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
a, b = (image.expand(16, *image.shape) for image in batches.batch(0).images[:2])
for _ in range(200):
    loss = (
        critic(b).mean()
        - critic(a).mean()
        + 10 * gradient_penalty(critic, a, b, torch.rand(16, 1, 1, 1))
    )
    adam.zero_grad()
    loss.backward()
    adam.step()
print(
    f"W_1 = |a - b| = {(a[0] - b[0]).norm():.3f}, estimate {(critic(a).mean() - critic(b).mean()).item():.3f}"
)

# %% [markdown]
# The estimate is larger than the distance, because the penalty does not forbid gradient norms above 1: along the line between
# both images, the loss $-g W_1 + 10 (g - 1)^2$ of a gradient norm $g$ is minimal at $g = 1 + W_1 / 20$.
#
# ## Quiz

# %%
simulacra.quiz("wgan_gp")
