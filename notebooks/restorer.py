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
# # Restorer
#
# Which images could a degraded image come from? A restorer is a conditional VAE that draws several answers. You train one on
# digits of which only the lower left quadrant is known, look at draws, their mean and their standard deviation, and get intervals
# that cover 90 % of the hidden pixels. Then you write its loss, its draws and its calibration in plain PyTorch and check that
# they equal the toolkit's. At the end you report intervals and errors in two ways that are wrong.
#
# Prerequisites: the notebook [Variational autoencoder](vae.py). The pages [Restorer](../docs/families/restorer.md) and
# [Restoring images](../docs/guides/restoration.md) have all details.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# For MNIST set `DATA, STEPS = "mnist", 5_000` and `FEATURES, HIDDEN, LATENTS = (32, 64), 256, 32`.

# %%
import math
import tempfile

import torch
from IPython.display import display
from torch import nn
from torch.nn import functional as F

import simulacra
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches
from simulacra.images.restorations import restoration_table
from simulacra.metrics.restorations.calibration import CALIBRATION_SEED

DATA, STEPS = "digits", 240
FEATURES, HIDDEN, LATENTS = (16, 32), 64, 8
DEGRADATION, BETA = "quadrants:1", 0.3
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The model is trained on clean images. In training they are degraded by a known operator, here `quadrants:1`: all but the lower
# left quadrant is missing. A second input of the network states which pixels are known, since a missing pixel is not a black one.

# %%
data = simulacra.load_data(DATA)
display(data)
test = data.test.head(len(data.test)).images
known = torch.zeros(1, 1, *data.spec.shape[1:])
known[..., data.spec.height // 2 :, : data.spec.width // 2] = 1
simulacra.image_grid(torch.cat([test[:8], torch.where(known > 0, test[:8], 0.5)]), columns=8)

# %% [markdown]
# ## The model in ten lines
#
# `beta` is the weight of the rate. The value below 1 makes the model use its latents within a training of seconds.

# %%
network = {
    "features": list(FEATURES),
    "hidden": [HIDDEN],
    "latent_dim": LATENTS,
    "blocks": 0,
    "beta": BETA,
    "degradation": DEGRADATION,
}
model = simulacra.train(
    "restorer",
    dataset=data,
    duration=str(STEPS),
    **network,
    batch=64,
    lr=3e-3,
    log_every=10,
    snapshots=2,
    out=f"{RUNS}/restorer",
)

# %%
model.curves("nats per image")

# %%
restored = model.restore(test[:6], draws=16, seed=0)
restoration_table(restored, shown=6)

# %% [markdown]
# Each row: the original, the degraded image (grey: missing), the mean of 16 draws, their standard deviation at each pixel, and
# six of the draws. Each draw agrees with the known quadrant. The mean is blurred where the draws differ, and the standard
# deviation is the map of the uncertainty.

# %%
model.evaluate(metrics="restoration", draws=16)

# %% [markdown]
# `psnr_db` measures the mean of the draws, `diversity` is the standard deviation over the draws, `interval_coverage` the share of
# hidden pixels inside their 90 % intervals.
#
# ## From scratch
#
# ### The networks
#
# Three distributions, each of them a network of the degraded image $d$:
#
# - the **prior** $p(z \mid d)$: which latents are possible given the degraded image,
# - the **posterior** $q(z \mid x, d)$: used in training and given the original too,
# - the **decoder** $p(x \mid z, d)$: it adds the feature maps of the degraded image (*skip connections*), so that the latents
#   describe only what $d$ does not determine.


# %%
class Down(nn.Sequential):
    """A convolution of stride 2 of images with an even side, padded at the bottom and the right, and ReLU."""

    def __init__(self, inputs, outputs):
        super().__init__(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, outputs, 3, 2), nn.ReLU())


class Encoder(nn.Module):
    """Maps images to features [b hidden] and to two sets of feature maps."""

    def __init__(self, inputs):
        super().__init__()
        first, second = FEATURES
        self.levels = nn.ModuleList([Down(inputs, first), Down(first, second)])
        self.dense = nn.Sequential(
            nn.Linear(second * data.spec.dimensions // 16, HIDDEN), nn.ReLU()
        )

    def forward(self, images):
        high = self.levels[0](images)
        low = self.levels[1](high)
        return self.dense(low.flatten(1)), high, low


class Restorer(nn.Module):
    """A conditional VAE of grey images given degraded ones, for images whose sides are multiples of 4."""

    def __init__(self):
        super().__init__()
        first, second = FEATURES
        self.shape = (
            second,
            data.spec.height // 4,
            data.spec.width // 4,
        )  # of the lowest feature maps
        self.condition = Encoder(2)  # the degraded image, and which pixels are known
        self.skips = nn.ModuleList(
            [
                nn.Conv2d(second, second, 1),
                nn.Conv2d(first, second, 1),
                nn.Conv2d(2, first, 3, padding=1),
            ]
        )
        self.from_condition = nn.Linear(HIDDEN, math.prod(self.shape))
        self.prior = nn.Linear(HIDDEN, 2 * LATENTS)
        self.posterior_encoder = Encoder(3)
        self.posterior_head = nn.Linear(HIDDEN, 2 * LATENTS)
        self.from_latents = nn.Linear(LATENTS, math.prod(self.shape))
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(second, second, 3, 2), nn.ConvTranspose2d(second, first, 3, 2)]
        )
        self.last = nn.Conv2d(first, 1, 3, padding=1)

    def given(self, degraded, known):
        """Return mean and log-variance of p(z|d), and the three feature maps that the decoder adds."""
        measured = torch.cat([degraded, known.expand_as(degraded)], 1)
        features, high, low = self.condition(measured)
        lowest = self.skips[0](low) + self.from_condition(features).unflatten(1, self.shape)
        return self.prior(features).chunk(2, 1), (
            lowest,
            self.skips[1](high),
            self.skips[2](measured),
        )

    def posterior(self, images, degraded, known):
        """Return mean and log-variance of q(z|x,d)."""
        features, *_ = self.posterior_encoder(
            torch.cat([images, degraded, known.expand_as(degraded)], 1)
        )
        return self.posterior_head(features).chunk(2, 1)

    def decode(self, latents, skips):
        """Return logits [b 1 h w] of p(x|z,d)."""
        features = self.from_latents(latents).unflatten(1, self.shape) + skips[0]
        for up, skip in zip(self.up, skips[1:], strict=True):
            features = up(F.relu(features))[..., : skip.shape[2], : skip.shape[3]] + skip
        return self.last(F.relu(features))


# %% [markdown]
# ### The loss
#
# The conditional ELBO (Sohn et al. 2015, eq. 4) has two changes compared with the VAE:
#
# $$
# -\log p(x \mid d) \;\le\; \mathrm{KL}\bigl(q(z \mid x, d) \,\|\, p(z \mid d)\bigr)
# + \mathbb E_{q}\bigl[-\log p(x \mid z, d)\bigr].
# $$
#
# The **rate** is the divergence of two normal distributions, since the prior is a network as well:
#
# $$
# \mathrm{KL} = \tfrac12 \sum_j \Bigl(
# \frac{(\mu_q - \mu_p)^2 + \sigma_q^2}{\sigma_p^2} - 1 - \log \frac{\sigma_q^2}{\sigma_p^2} \Bigr).
# $$
#
# The **distortion** is a sum over the hidden pixels: known pixels need no prediction.


# %%
def conditional_loss(restorer, images, noise):
    """Return beta * rate + distortion in nats, the mean over images."""
    degraded = images * known
    (prior_mean, prior_log_var), skips = restorer.given(degraded, known)
    mean, log_var = restorer.posterior(images, degraded, known)
    ratio = log_var - prior_log_var
    rate = ((mean - prior_mean) ** 2 / prior_log_var.exp() + ratio.exp() - 1 - ratio).sum(1) / 2
    logits = restorer.decode(mean + torch.exp(log_var / 2) * noise, skips)
    distortion = (
        F.binary_cross_entropy_with_logits(logits, images, reduction="none") * (1 - known)
    ).sum((1, 2, 3))
    return (BETA * rate + distortion).mean()


restorer = Restorer()
weights = simulacra.untrained("restorer", dataset=data, **network, seed=0).state_dict()
restorer.load_state_dict(dict(zip(restorer.state_dict(), weights.values(), strict=True)))
optimizer = torch.optim.Adam(restorer.parameters(), lr=3e-3)
batches, losses = Batches(data.train, 64, seed=0), []
for step in range(40):
    images = batches.batch(step).images
    reseed(0, "step", step, 0, 0, 0)
    loss = conditional_loss(restorer, images, torch.randn(64, LATENTS))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

plain = {
    "batch": 64,
    "lr": 3e-3,
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "seed": 0,
}
toolkit = simulacra.train(
    "restorer",
    dataset=data,
    duration="40",
    **network,
    **plain,
    snapshots=1,
    out=f"{RUNS}/same",
    quiet=True,
)
logged = [
    record["restorer/loss"] for record in toolkit.run.reports.read() if record["kind"] == "train"
]
simulacra.line_plot({"from scratch": losses, "toolkit": logged}, y="loss in nats per image")

# %% [markdown]
# The losses of all steps and the weights agree. (On CPUs the toolkit computes convolutions by faster code of its own, whose
# results differ in the last bits; over 40 steps of Adam the difference of a weight grows to 1e-4 at most.)

# %%
torch.testing.assert_close(losses, logged, rtol=1e-4, atol=0)
for mine, theirs in zip(restorer.parameters(), toolkit.module.parameters(), strict=True):
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)

# %% [markdown]
# ### Draws
#
# A restoration is a latent of the prior, decoded; known pixels are copied. With the weights of the long training and the same
# noise, our draws are those of the toolkit.

# %%
restorer.load_state_dict(
    dict(zip(restorer.state_dict(), model.module.state_dict().values(), strict=True))
)


@torch.no_grad()
def draw(degraded, noise):
    """Return one restoration of each image."""
    (mean, log_var), skips = restorer.given(degraded, known)
    images = torch.sigmoid(restorer.decode(mean + torch.exp(log_var / 2) * noise, skips))
    return torch.where(known > 0, degraded, images)


degraded, noise = (
    test[:8] * known,
    torch.randn(8, LATENTS, generator=torch.Generator().manual_seed(0)),
)
mine = draw(degraded, noise)
torch.testing.assert_close(
    mine, model.module.restore(degraded, known.expand(8, -1, -1, -1), noise), rtol=1e-4, atol=1e-4
)
simulacra.image_grid(mine, columns=8)

# %% [markdown]
# ### Calibrated intervals
#
# The interval of a pixel is *mean ± factor x standard deviation* of the draws. Which factor covers 90 %? Split conformal
# prediction (Lei et al. 2018): restore $N$ validation images, compute the scores $|x - \text{mean}| / \text{deviation}$ of the
# hidden pixels, and take the one of rank $\lceil (n + 1) \cdot 0.9 \rceil$ of the $n$ scores. Only pixels with a deviation above
# 0.05 count, since on a black background every interval covers.

# %%
validation = data.validation.head(len(data.validation)).images
of_validation = model.restore(validation, draws=16, seed=CALIBRATION_SEED)
counts = (of_validation.deviation > 0.05) & ~of_validation.known
scores = ((validation - of_validation.mean).abs() / of_validation.deviation)[counts].sort().values
factor = scores[math.ceil((len(scores) + 1) * 0.9) - 1].item()
print(f"factor from scratch {factor:.4f}, of the toolkit {restored.factor:.4f}")
assert math.isclose(factor, restored.factor, rel_tol=1e-4)

# %% [markdown]
# ## Break it
#
# **Intervals without calibration.** The draws are treated as samples of a normal distribution, with the factor 1.645 of its 90 %
# interval. But a draw is the *mean* image of $p(x \mid z, d)$: the variance of a pixel given the latents is missing. Nothing in
# the program fails, and the intervals are too narrow.

# %%
of_test = {
    "uncalibrated": model.restore(test, draws=16, seed=0, calibration_images=0),
    "calibrated": model.restore(test, draws=16, seed=0),
}
coverages = {}
for name, one in of_test.items():
    counts = (one.deviation > 0.05) & ~one.known
    coverages[name] = ((test >= one.lower) & (test <= one.upper))[counts].double().mean().item()
    print(
        f"{name:13} factor {one.factor:.2f}: {coverages[name]:.1%} of the counted pixels inside their 90 % intervals"
    )
assert coverages["uncalibrated"] < 0.8
assert abs(coverages["calibrated"] - 0.9) < 0.05

# %% [markdown]
# The toolkit reveals it: `calibrated` is false in the result, and `evaluate` reports `interval_coverage` for calibrated intervals
# only, measured on test images, with a standard error whose clusters are the images.
#
# **Errors over known pixels too.** Known pixels are copied, and have no error. A mean over the whole image improves as more of it
# is known, without any better prediction:

# %%
error = (of_test["calibrated"].mean - test).square()
hidden = (1 - known).bool().expand_as(error)
print(f"PSNR over all pixels: {-10 * error.flatten(1).mean(1).log10().mean().item():.2f} dB")
print(
    f"PSNR over hidden pixels: {-10 * error[hidden].view(len(error), -1).mean(1).log10().mean().item():.2f} dB"
)

# %% [markdown]
# The difference is $10 \log_{10} \frac43 = 1.25$ dB whatever the model: three quarters of the pixels are hidden. `evaluate`
# reports both, the second as `hidden_psnr_db` in the protocol.
#
# ## Exercises
#
# **1.** The coverage holds on average over images and pixels. Is it the same for every class? Compute it for each digit.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
labels = data.test.head(len(data.test)).labels
one = of_test["calibrated"]
inside, counts = (test >= one.lower) & (test <= one.upper), (one.deviation > 0.05) & ~one.known
for label in range(len(data.spec.classes)):
    chosen = labels == label
    print(
        f"{label}: {inside[chosen][counts[chosen]].double().mean().item():.1%} of {int(counts[chosen].sum())} pixels"
    )

# %% [markdown]
# **2.** How does the error of the mean depend on the number of draws? Compare the mean squared error over hidden pixels of 1, 4
# and 16 draws, and explain the limit.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
for count in (1, 4, 16):
    mean = one.draws[:, :count].mean(1)
    print(f"{count:2} draws: mean squared error {(mean - test).square()[hidden].mean().item():.4f}")
# With k independent draws of variance v, the expected squared error is (error of the exact mean) + v / k: it falls towards the
# error of the mean of p(x | d), the smallest that any restoration of d can have.

# %% [markdown]
# **3.** Restore images of which the *right* half is known, which the model was not trained on. Which message warns of it, and are
# the intervals still calibrated?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
print(model.command("restore", degradation="left", count=6, draws=8, out=f"{RUNS}/left.png").text)
display(restoration_table(model.restore(test[:3], degradation="left", draws=8), shown=4))
# They are calibrated again, with validation images that are degraded in the same way: a bad restoration has wide intervals.

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("restorer")
