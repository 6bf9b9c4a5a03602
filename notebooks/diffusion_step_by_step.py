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
# # Diffusion step by step
#
# A diffusion model without a network. The data are points near eight places on a ring, for which the best denoiser is known in
# closed form. Every part of the theory becomes a few lines whose result can be checked: noise schedule, signal-to-noise ratio,
# posterior mean, score, one step of DDPM, DDIM as an ODE solver, and the error of several samplers against the number of
# evaluations. At the end the same denoiser is applied to images of digits, and shows why a perfect fit is not what one wants.
#
# Needed before: the normal distribution and Bayes' rule. Ho, Jain & Abbeel 2020; Song, Meng & Ermon 2020; Karras et al. 2022.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import math
from collections.abc import Callable
from itertools import pairwise

import torch
from IPython.display import display
from PIL import Image
from torch import Tensor

import simulacra
from simulacra.core.progress import SILENT
from simulacra.diffusion.noise_levels import NoiseLevels, posterior_variance, variance_preserving
from simulacra.diffusion.samplers import SAMPLERS, DenoiserOutput, no_noise, posterior_mean
from simulacra.diffusion.schedules import cosine, linear, spaced_levels
from simulacra.metrics.statistics.nearest_training import memorization

DATA, POINTS = "digits", 2000
# DATA = "mnist" for the last part: larger images, some seconds longer.
torch.set_num_threads(1)

# %% [markdown]
# ## The data
#
# A mixture of eight normal distributions with centres $\mu_k$ on a ring of radius 0.8 and standard deviation $s = 0.06$.

# %%
angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
CENTRES, SPREAD = 0.8 * torch.stack([angles.cos(), angles.sin()], 1), 0.06


def ring(count: int, seed: int) -> Tensor:
    """Return points of the data, float64 [count 2]."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(8, (count,), generator=generator)
    return CENTRES[chosen] + SPREAD * torch.randn(
        count, 2, generator=generator, dtype=torch.float64
    )


def picture(points: Tensor, side: int = 150) -> Image.Image:
    """Return a scatter plot of the square [-2.5, 2.5]^2."""
    return simulacra.image_grid((points / 5 + 0.5).float().clamp(0, 1)[:, None, None, :], 1).resize(
        (side, side)
    )


def row(*pictures: Image.Image) -> Image.Image:
    """Return pictures side by side."""
    joined = Image.new("L", (sum(one.width + 4 for one in pictures), pictures[0].height), 255)
    for index, one in enumerate(pictures):
        joined.paste(one, (index * (one.width + 4), 0))
    return joined


data = ring(POINTS, 0)
picture(data, 300)

# %% [markdown]
# ## Schedule, $\bar\alpha$ and the signal-to-noise ratio
#
# Ho et al. add noise in small steps with variances $\beta_i$, and $\bar\alpha_i = \prod_{j \le i} (1 - \beta_j)$. All steps until
# $i$ together are one step:
#
# $$z_i = \sqrt{\bar\alpha_i}\, x + \sqrt{1 - \bar\alpha_i}\, \epsilon .$$
#
# This notebook writes $\alpha = \sqrt{\bar\alpha}$ and $\sigma = \sqrt{1 - \bar\alpha}$ as functions of a time $t \in [0, 1]$.
# The signal-to-noise ratio $\mathrm{SNR} = \alpha^2 / \sigma^2$ decreases from image to noise. The linear schedule is checked
# against the product of a thousand steps, with $\beta$ from $10^{-4}$ to $0.02$.

# %%
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
alpha_bar = torch.cumprod(1 - betas, 0)
product = alpha_bar[[99, 499, 899]]
continuous = variance_preserving(linear)(torch.tensor([99, 499, 899]) / 999).alpha ** 2
print("alpha bar of steps 100, 500, 900:", product.tolist(), "toolkit:", continuous.tolist())
torch.testing.assert_close(
    product, continuous, rtol=0.06, atol=0
)  # a thousand steps are almost a continuous process

PATH = variance_preserving(cosine)  # from a time to the level: alpha, sigma
print("cosine schedule\n    t    alpha    sigma        SNR")
for level in PATH(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])):
    print(f"{level.time:5.2f} {level.alpha:8.4f} {level.sigma:8.4f} {level.snr:10.2e}")

# %% [markdown]
# ## Forward process


# %%
def noisy(points: Tensor, level: NoiseLevels, seed: int) -> Tensor:
    """Return alpha x + sigma noise."""
    noise = torch.randn(
        points.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return level.alpha * points + level.sigma * noise


row(*(picture(noisy(data, level, 1)) for level in PATH(torch.tensor([0.0, 0.2, 0.4, 0.6, 1.0]))))

# %% [markdown]
# ## The ideal denoiser is the posterior mean
#
# A network that minimizes $\mathbb E \lVert D(z) - x \rVert^2$ would return the mean of all $x$ that can have led to $z$,
# $D(z) = \mathbb E(x \mid z)$. For the mixture, Bayes' rule gives the probability of each centre and the mean given the centre:
#
# $$w_k \propto \mathcal N\bigl(z; \alpha\mu_k, (\alpha^2 s^2 + \sigma^2) I\bigr), \qquad
# \mathbb E(x \mid z) = \sum_k w_k \Bigl(\mu_k + \frac{\alpha s^2}{\alpha^2 s^2 + \sigma^2} (z - \alpha \mu_k)\Bigr).$$


# %%
def ideal(z: Tensor, level: NoiseLevels) -> Tensor:
    """Return E(x | z) of the ring [n 2]."""
    variance = level.alpha**2 * SPREAD**2 + level.sigma**2
    offsets = z[:, None] - level.alpha * CENTRES  # [n 8 2]
    weights = (-0.5 * (offsets**2).sum(2) / variance).softmax(1)
    means = CENTRES + level.alpha * SPREAD**2 / variance * offsets
    return (weights[:, :, None] * means).sum(1)


half = PATH(torch.tensor(0.5))
z = noisy(data, half, 2)
estimate = ideal(z, half)
row(picture(data), picture(z), picture(estimate))

# %% [markdown]
# Left the data, in the middle noisy points at $t = 0.5$, right their estimates: where several centres are possible, the estimate
# lies between them. This is why one step from noise gives a blurred mean, and many steps are needed.
#
# No other function has a smaller error. Two alternatives, the nearest centre and the rescaled input:

# %%
fresh = ring(20_000, 3)
z = noisy(fresh, half, 4)
nearest = CENTRES[torch.cdist(z, half.alpha * CENTRES).argmin(1)]
linear_estimate = (
    half.alpha * 0.32 * z / (half.alpha**2 * 0.32 + half.sigma**2)
)  # 0.32: variance of a coordinate
errors = {
    name: ((x - fresh) ** 2).mean().item()
    for name, x in {
        "posterior mean": ideal(z, half),
        "nearest centre": nearest,
        "linear": linear_estimate,
    }.items()
}
print({name: round(value, 4) for name, value in errors.items()})
assert errors["posterior mean"] == min(errors.values())

# %% [markdown]
# ## The score
#
# The score is the gradient of the log density of the noisy points. Tweedie's formula connects it with the denoiser, and so with
# the estimated noise $\hat\epsilon = (z - \alpha \hat x) / \sigma$:
#
# $$\nabla_z \log p_t(z) = \frac{\alpha\, \mathbb E(x \mid z) - z}{\sigma^2} = -\frac{\hat\epsilon}{\sigma} .$$
#
# Check: differentiate the log density of the mixture automatically.

# %%
z = noisy(data[:50], half, 5).requires_grad_()
variance = half.alpha**2 * SPREAD**2 + half.sigma**2
log_density = (-0.5 * ((z[:, None] - half.alpha * CENTRES) ** 2).sum(2) / variance).logsumexp(1)
(gradient,) = torch.autograd.grad(log_density.sum(), z)
torch.testing.assert_close(gradient, ((half.alpha * ideal(z, half) - z) / half.sigma**2).detach())

# %% [markdown]
# ## One step of DDPM
#
# The distribution of $z_s$ at an earlier time $s$ given $z_t$ and $x$ is normal (Ho et al., eq. 7). With
# $\alpha_{t|s} = \alpha_t / \alpha_s$ and $\sigma_{t|s}^2 = \sigma_t^2 - \alpha_{t|s}^2 \sigma_s^2$ (the $\beta$ of this step):
#
# $$\text{mean} = \frac{\alpha_{t|s}\sigma_s^2}{\sigma_t^2} z_t + \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} x, \qquad
# \text{variance} = \frac{\sigma_s^2 \sigma_{t|s}^2}{\sigma_t^2} .$$
#
# DDPM replaces $x$ by its estimate and samples from this distribution.


# %%
def step_distribution(
    x: Tensor, z: Tensor, level: NoiseLevels, following: NoiseLevels
) -> tuple[Tensor, Tensor]:
    """Return mean [n 2] and variance [] of a step of DDPM."""
    ratio = level.alpha / following.alpha
    beta = level.sigma**2 - ratio**2 * following.sigma**2
    mean = (
        ratio * following.sigma**2 / level.sigma**2 * z
        + following.alpha * beta / level.sigma**2 * x
    )
    return mean, following.sigma**2 * beta / level.sigma**2


level, following = PATH(torch.tensor([0.5, 0.4]))
mean, variance = step_distribution(data, noisy(data, level, 6), level, following)
torch.testing.assert_close(mean, posterior_mean(data, noisy(data, level, 6), level, following))
torch.testing.assert_close(variance, posterior_variance(level, following))
print(f"step from t = 0.5 to 0.4: standard deviation {variance.sqrt():.4f}")

# %% [markdown]
# The formula is the conditional distribution of the forward process. Simulate it: for one fixed $x$ draw $z_s$ and then $z_t$
# from it, and compare the regression of $z_s$ on $z_t$ with the formula.

# %%
generator = torch.Generator().manual_seed(7)
x = torch.tensor(0.5, dtype=torch.float64)
earlier = following.alpha * x + following.sigma * torch.randn(
    200_000, generator=generator, dtype=torch.float64
)
ratio = level.alpha / following.alpha
beta = level.sigma**2 - ratio**2 * following.sigma**2
later = ratio * earlier + beta.sqrt() * torch.randn(
    200_000, generator=generator, dtype=torch.float64
)
slope = torch.cov(torch.stack([earlier, later]))[0, 1] / later.var()
residual = (earlier - earlier.mean()) - slope * (later - later.mean())
print(f"slope {slope:.4f}, formula {ratio * following.sigma**2 / level.sigma**2:.4f}")
print(f"variance {residual.var():.5f}, formula {variance:.5f}")
assert abs(residual.var() / variance - 1) < 0.02

# %% [markdown]
# ## Sampling: DDPM and DDIM
#
# DDIM (Song et al., eq. 12) has no noise in its steps: it combines the estimated image with the estimated noise,
#
# $$z_s = \alpha_s \hat x + \sigma_s \hat\epsilon, \qquad \hat\epsilon = (z_t - \alpha_t \hat x) / \sigma_t .$$


# %%
def levels(steps: int) -> NoiseLevels:
    """Return steps + 1 levels at equal distances of time."""
    return PATH(torch.linspace(1, 0, steps + 1, dtype=torch.float64))


def sample(z: Tensor, steps: int, stochastic: bool, recorded: list[Tensor]) -> Tensor:
    """Return points [n 2] by DDPM or DDIM; append the points after each step."""
    generator, chain = torch.Generator().manual_seed(8), levels(steps)
    for level, following in pairwise(chain):
        x = ideal(z, level)
        if stochastic:
            mean, variance = step_distribution(x, z, level, following)
            z = mean + variance.sqrt() * torch.randn(
                z.shape, generator=generator, dtype=torch.float64
            )
        else:
            z = following.alpha * x + following.sigma * (z - level.alpha * x) / level.sigma
        recorded.append(z)
    return z


start = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
for stochastic in (True, False):
    states: list[Tensor] = []
    found = sample(start, 100, stochastic, states)
    shares = torch.bincount(torch.cdist(found, CENTRES).argmin(1), minlength=8) / POINTS
    inside = (torch.cdist(found, CENTRES).amin(1) < 3 * SPREAD).double().mean()
    print(f"{'DDPM' if stochastic else 'DDIM'}: {inside:.1%} of the points near a centre,", end=" ")
    print(f"shares of the centres {shares.min():.3f} to {shares.max():.3f}")
    assert inside > 0.95
    assert shares.min() > 0.1
    display(row(picture(start), *(picture(states[index]) for index in (30, 50, 70, 99))))

# %% [markdown]
# Both reach the data. The path of one point differs: with DDPM it is a random walk, with DDIM a smooth curve.

# %%
paths = []
for stochastic in (True, False):
    states = []
    sample(start[:6], 400, stochastic, states)
    paths.append(picture(torch.cat(states), 300))
row(*paths)

# %% [markdown]
# ## DDIM solves an ODE
#
# The points of DDIM follow the probability flow ODE (Song et al. 2021). In $y = z / \alpha$ and $\tau = \sigma / \alpha$ it is
# $\mathrm d y / \mathrm d \tau = \hat\epsilon$, and a step of DDIM is a step of Euler's method:

# %%
y = start / levels(1)[0].alpha
chain = levels(50)
for level, following in pairwise(chain):
    noise = (y * level.alpha - level.alpha * ideal(y * level.alpha, level)) / level.sigma
    y = y + (following.sigma / following.alpha - level.sigma / level.alpha) * noise
torch.testing.assert_close(y * chain[-1].alpha, sample(start, 50, False, []))

# %% [markdown]
# An ODE solver can be exchanged for a better one. To measure the error exactly, take one normal distribution,
# $x \sim \mathcal N(0, s^2)$. The ODE keeps the quantile of a point, so its exact solution is a rescaling:
#
# $$z_s = z_t \sqrt{\frac{\alpha_s^2 s^2 + \sigma_s^2}{\alpha_t^2 s^2 + \sigma_t^2}} .$$
#
# A method has **order** $p$ if its error is divided by $2^p$ when the number of steps doubles. The toolkit's samplers take any
# function as the denoiser.


# %%
def normal_denoiser(z: Tensor, level: NoiseLevels) -> DenoiserOutput:
    """Return the posterior mean for data N(0, 0.25)."""
    return DenoiserOutput(level.alpha * 0.25 * z / (0.25 * level.alpha**2 + level.sigma**2))


def error_on_normal(name: str, steps: int) -> float:
    """Return the error of a sampler at the last level, for a point at 1."""
    chain = spaced_levels(PATH, steps + 1, "log-snr")
    reached = SAMPLERS[name].sample(
        normal_denoiser, torch.ones(1, dtype=torch.float64), chain, no_noise
    )
    exact = (0.25 * chain.alpha**2 + chain.sigma**2).sqrt()
    return float((reached - exact[-1] / exact[0]).abs())


print("sampler     20 steps   40 steps   80 steps   order")
for name, expected in {"ddim": 1, "heun": 2, "dpmpp-2m": 2}.items():
    errors_of = [error_on_normal(name, steps) for steps in (20, 40, 80)]
    order = math.log2(errors_of[1] / errors_of[2])
    print(f"{name:9}" + "".join(f"{error:11.2e}" for error in errors_of) + f"{order:8.2f}")
    assert abs(order - expected) < 0.25

# %% [markdown]
# ## Error against evaluations
#
# What counts is the number of denoiser evaluations, since each is one pass through a network. Heun's method needs two per step.
# For the ring the reference is a solution with 400 steps. The error is the median distance to it
# (a few points between two centres change sides with any small error).


# %%
def ring_denoiser(z: Tensor, level: NoiseLevels) -> DenoiserOutput:
    """Return the posterior mean for the ring."""
    return DenoiserOutput(ideal(z, level))


def solve(name: str, steps: int) -> Tensor:
    """Return the points that a sampler reaches from the same noise."""
    return SAMPLERS[name].sample(
        ring_denoiser, start[:1000], spaced_levels(PATH, steps + 1, "log-snr"), no_noise
    )


reference = solve("heun", 400)
budgets = (4, 8, 16, 32, 64)
print("evaluations" + "".join(f"{budget:8}" for budget in budgets))
medians = {}
for name in ("ddim", "heun", "dpmpp-2m"):
    reached = [solve(name, budget // SAMPLERS[name].evaluations) for budget in budgets]
    medians[name] = [(one - reference).norm(dim=1).median().item() for one in reached]
    print(f"{name:11}" + "".join(f"{value:8.4f}" for value in medians[name]))
assert medians["dpmpp-2m"][4] < medians["heun"][4] < medians["ddim"][4]

# %% [markdown]
# Methods of second order need fewer evaluations for the same accuracy. With very few steps, none of them follows the ODE.
#
# ## From noise to a digit
#
# The data of a data set are $n$ images, a mixture of $n$ points ($s = 0$). The ideal denoiser is the mean of the training images
# with the softmax weights $w_k \propto \exp(-\lVert z - \alpha x_k \rVert^2 / 2\sigma^2)$. Each column is a step of DDIM: above
# the noisy image $z$, below the estimate $\hat x$. The estimate begins as the mean of all digits and becomes one digit.

# %%
digits = simulacra.load_data(DATA, quiet=True)
train = 2 * digits.train.head(2000).images.double() - 1
rows = train.flatten(1)


def ideal_of_images(z: Tensor, level: NoiseLevels) -> Tensor:
    """Return the mean of the training images given noisy images [n d]."""
    return (-0.5 * torch.cdist(z, level.alpha * rows) ** 2 / level.sigma**2).softmax(1) @ rows


def images_from_noise(z: Tensor, steps: int) -> list[tuple[Tensor, Tensor]]:
    """Return noisy images and estimates [n d] of each step of DDIM."""
    states, chain = [], levels(steps)
    for level, following in pairwise(chain):
        x = ideal_of_images(z, level)
        states.append((z, x))
        z = following.alpha * x + following.sigma * (z - level.alpha * x) / level.sigma
    return [*states, (z, ideal_of_images(z, chain[-1]))]


noise = torch.randn(
    200, rows.shape[1], generator=torch.Generator().manual_seed(10), dtype=torch.float64
)
states_of_images = images_from_noise(noise, 30)
for number in (0, 1):
    strip = torch.stack([pair[kind][number] for kind in (0, 1) for pair in states_of_images[::3]])
    display(
        simulacra.image_grid(
            (0.5 * (strip + 1)).clamp(0, 1).float().unflatten(1, digits.spec.shape), 11
        )
    )

# %% [markdown]
# These digits are perfect, and useless: every one of them **is** a training image. The ideal denoiser of the training set
# memorizes it. A diffusion model generates new images only because its network cannot represent this function, and smooths it.
# The toolkit measures it: the distance to the nearest training image, in relation to that of held-out images, is 0.

# %%
generated = states_of_images[-1][1]
held_out = 2 * digits.test.head(200).images.double().flatten(1) - 1
with SILENT.task("nearest", None, "images") as meter:
    found = memorization(
        generated.float(), rows.float(), held_out.float(), 0, meter
    ).nearest_train_ratio
print(
    f"nearest_train_ratio {found.value:.3f}, copies {found.protocol['copies']:.0%} (expected of new images: 1, 1%)"
)
assert found.value < 0.05

# %% [markdown]
# ## Break it: a schedule that reaches $\bar\alpha = 1$
#
# The published cosine schedule is $\bar\alpha(t) = f(t) / f(0)$ with
# $f(t) = \cos^2\bigl(\frac{t + 0.008}{1.008} \frac\pi2\bigr)$. The division makes $\bar\alpha(0) = 1$ exactly: no noise,
# infinite SNR, and the estimated noise $(z - \alpha \hat x) / \sigma$ is $0 / 0$. One division in the code of a sampler that
# includes $t = 0$ turns all images into NaN.


# %%
def published_cosine(time: Tensor) -> NoiseLevels:
    """Return the levels of the cosine schedule as published, with no noise at time 0."""
    f = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    bar = f / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    return NoiseLevels(time, bar.sqrt(), (1 - bar).sqrt())


def noise_estimate(path: Callable[[Tensor], NoiseLevels]) -> Tensor:
    """Return the estimated noise of data at time 0."""
    level = path(torch.zeros((), dtype=torch.float64))
    z = level.alpha * data[:5]
    return (z - level.alpha * ideal(z, level)) / level.sigma


print(
    "log SNR at t = 0:",
    published_cosine(torch.zeros((), dtype=torch.float64)).log_snr.item(),
    end=" published, ",
)
print(PATH(torch.zeros(())).log_snr.item(), "in the toolkit")
print(
    "NaN or infinite:",
    (~noise_estimate(published_cosine).isfinite()).all().item(),
    noise_estimate(PATH).isfinite().all().item(),
)
assert not noise_estimate(published_cosine).isfinite().any()
assert noise_estimate(PATH).isfinite().all()

# %% [markdown]
# The toolkit cuts its schedules off slightly inside: a test requires that every schedule is finite and strictly decreasing on
# $[0, 1]$. Where a result is not finite nevertheless, training and sampling stop with `NonFiniteError` instead of writing black
# images.
#
# ## Exercises
#
# 1. How many steps of DDPM are needed until the standard deviation of samples of $\mathcal N(0, 0.25)$ is right within 2 %?
#    Compute it without random numbers: the variance after a step is a function of the variance before it.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
for steps in (5, 10, 20, 50, 100, 200):
    variance, chain = torch.ones((), dtype=torch.float64), levels(steps)
    for level, following in pairwise(chain):
        one = torch.ones(1, dtype=torch.float64)
        mean, added = step_distribution(normal_denoiser(one, level).image, one, level, following)
        variance = mean.squeeze() ** 2 * variance + added
    print(f"{steps:4} steps: standard deviation {variance.sqrt():.4f} (data 0.5)")
assert abs(variance.sqrt() - 0.5) < 0.01

# %% [markdown]
# 2. The estimate of the ideal denoiser at $t = 1$ is nearly the same for all points. Which point is it, and why?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
# The mean of the data, here the origin: pure noise says nothing about x, so that E(x | z) = E(x).
estimates = ideal(start, levels(1)[0])
print("largest coordinate of an estimate:", round(estimates.abs().max().item(), 3))
assert estimates.abs().max() < 0.05

# %% [markdown]
# 3. Guidance with two classes: class 0 consists of the three centres on the right. Extrapolate from the unconditional denoiser to
#    that of the class with a scale of 3, and describe the effect on the samples.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
right = CENTRES[[7, 0, 1]]


def guided(scale: float) -> Tensor:
    """Return samples of the centres on the right with a guidance scale."""

    def denoiser(z: Tensor, level: NoiseLevels) -> DenoiserOutput:
        variance = level.alpha**2 * SPREAD**2 + level.sigma**2
        offsets = z[:, None] - level.alpha * right
        weights = (-0.5 * (offsets**2).sum(2) / variance).softmax(1)
        of_class = (
            weights[:, :, None] * (right + level.alpha * SPREAD**2 / variance * offsets)
        ).sum(1)
        return DenoiserOutput(ideal(z, level) + scale * (of_class - ideal(z, level)))

    return SAMPLERS["dpmpp-2m"].sample(
        denoiser, start, spaced_levels(PATH, 41, "log-snr"), no_noise
    )


# Scale 1 samples the three centres equally; larger scales prefer the one that is farthest from the other class.
for scale in (1.0, 3.0):
    shares = torch.bincount(torch.cdist(guided(scale), right).argmin(1), minlength=3) / POINTS
    print(
        f"scale {scale:g}: shares of the three centres {[round(share, 2) for share in shares.tolist()]}"
    )
row(picture(guided(1.0)), picture(guided(3.0)))

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("diffusion")
