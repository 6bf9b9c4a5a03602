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
# # Variational autoencoder
#
# A variational autoencoder (VAE) is a model of images from which new images can be sampled. You train one with the toolkit in
# ten lines, then write its loss, the reparameterization and the training loop in plain PyTorch and check that both trainings
# have the same losses and the same weights. At the end you make the most common mistake in the loss, on purpose, and see how to
# find it.
#
# Prerequisites: PyTorch modules and optimizers, and the normal distribution. The page [Variational
# autoencoder](../docs/families/vae.md) derives all formulas of this notebook.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# `digits` are the 1,797 images of 8 x 8 pixels of scikit-learn, on which everything below takes seconds. For MNIST set `DATA,
# STEPS = "mnist", 10_000` and `HIDDEN, LATENTS = 400, 20`.

# %%
import math
import tempfile

import torch
from torch import nn
from torch.nn import functional as F

import simulacra
from simulacra.core.randomness import reseed
from simulacra.data.batches import Batches

DATA, STEPS = "digits", 800
HIDDEN, LATENTS = 128, 8
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data

# %%
data = simulacra.load_data(DATA)
data

# %% [markdown]
# ## The model in ten lines
#
# A VAE assumes that every image $x$ is generated in two steps: a latent vector $z$ is drawn from the prior $\mathcal N(0, I)$,
# and the image from a distribution $p_\theta(x \mid z)$ whose parameters a network computes from $z$, the *decoder*. For
# training, a second network, the *encoder*, computes for every image the mean and the variance of an approximate posterior
# $q_\phi(z \mid x)$.

# %%
network = {"network": "dense", "hidden": [HIDDEN], "latent_dim": LATENTS}
training = {"duration": str(STEPS), "batch": 64, "lr": 3e-3, "ema": 0.99, "log_every": 10}
model = simulacra.train("vae", dataset=data, **network, **training, out=f"{RUNS}/vae")

# %%
model.evaluate(samples=0, particles=100)

# %% [markdown]
# The loss is minus a lower bound of the log-likelihood, the ELBO, in nats per image. It is the sum of two parts, which the
# toolkit reports as well: the *distortion* measures how well an image can be reconstructed from its latents, the *rate* how
# much information about the image the latents carry.

# %%
model.curves("nats per image", "active latent units")

# %% [markdown]
# New images are decoded samples of the prior; the encoder is not used.

# %%
simulacra.image_grid(model.sample(32, seed=0), columns=8)

# %% [markdown]
# Reconstructions, each below its original:

# %%
originals = data.test.head(8).images
simulacra.image_grid(torch.cat([originals, model.reconstruct(originals)]), columns=8)

# %% [markdown]
# Between two images: the latents of both are interpolated, and every intermediate latent vector is decoded.

# %%
simulacra.image_grid(
    model.interpolate(originals[:3], originals[3:6], steps=8).flatten(0, 1), columns=8
)

# %% [markdown]
# ## From scratch
#
# ### The networks
#
# The encoder has two output layers: the mean $\mu$ and the logarithm of the variance, $\log \sigma^2$, of every latent. The
# logarithm can be any real number, so that the variance is positive without a constraint. The decoder returns logits: their
# sigmoid is the probability that a pixel is white.


# %%
class VAE(nn.Module):
    """A VAE of images with `pixels` pixels."""

    def __init__(self, pixels, hidden, latents):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latents)
        self.log_var = nn.Linear(hidden, latents)
        self.decoder = nn.Sequential(
            nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
        )

    def encode(self, images):
        """Return mean and log-variance of q(z|x), [b d] each."""
        features = self.encoder(images)
        return self.mean(features), self.log_var(features)


# %% [markdown]
# ### The loss
#
# The log-likelihood of an image is an integral over all latents, which cannot be computed. With samples of the posterior
# instead of the prior, and Jensen's inequality, it has a lower bound, the **evidence lower bound** (Kingma & Welling 2013, eq.
# 3):
#
# $$
# \log p_\theta(x) \;\ge\; \mathrm{ELBO}(x)
# = \mathbb E_{q_\phi(z \mid x)} \bigl[\log p_\theta(x \mid z)\bigr] - \mathrm{KL}\bigl(q_\phi(z \mid x) \,\|\, p(z)\bigr).
# $$
#
# Training minimizes $-\mathrm{ELBO}$, which is the sum of distortion and rate.
#
# **Distortion.** With Bernoulli pixels, $-\log p_\theta(x \mid z)$ is the binary cross-entropy, *summed over the pixels*.
#
# **Rate.** The KL divergence of a normal distribution from the standard normal one has a closed form, *summed over the
# latents*:
#
# $$
# \mathrm{KL} = \tfrac12 \sum_j \bigl(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\bigr).
# $$
#
# **Reparameterization.** The expectation is estimated with one sample of $q_\phi(z \mid x)$. A sample that `torch.normal` draws
# has no gradient with respect to $\mu$ and $\sigma$. Written as a function of noise that does not depend on them, it has one:
#
# $$
# z = \mu + \sigma \cdot \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I).
# $$


# %%
def reparameterize(mean, log_var):
    """Return a sample of N(mean, exp(log_var)) that can be differentiated with respect to both."""
    return mean + torch.exp(log_var / 2) * torch.randn_like(mean)


def rate_of(mean, log_var):
    """Return KL(q(z|x) || N(0, 1)) of every latent of every image: [b d], in nats."""
    return (mean**2 + log_var.exp() - 1 - log_var) / 2


def distortion_of(logits, images):
    """Return -log p(x|z) of every pixel of every image: [b pixels], in nats."""
    return F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="none")


def elbo_loss(vae, images):
    """Return -ELBO in nats: sums over pixels and latents, the mean over images."""
    mean, log_var = vae.encode(images)
    logits = vae.decoder(reparameterize(mean, log_var))
    return (distortion_of(logits, images).sum(1) + rate_of(mean, log_var).sum(1)).mean()


# %% [markdown]
# ### The training loop
#
# To compare with the toolkit, both trainings must begin with the same weights and use the same batches and the same random
# numbers. `simulacra.untrained` returns the weights with which `train` begins; `Batches` its sequence of batches; and `reseed`
# sets PyTorch's random number generator to the state that it has at the beginning of a training step.
#
# Default settings of the toolkit that change the updates of the weights are switched off: the warm-up and the schedule of the
# learning rate, and the moving average of the weights.


# %%
def train(loss_of, steps, seed=0):
    """Return a VAE trained with a loss, and its losses."""
    first = simulacra.untrained("vae", dataset=data, **network, seed=seed)
    vae = VAE(data.spec.dimensions, HIDDEN, LATENTS)
    vae.load_state_dict(dict(zip(vae.state_dict(), first.state_dict().values(), strict=True)))
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    batches = Batches(data.train, 64, seed=seed)
    losses = []
    for step in range(steps):
        reseed(seed, "step", step, 0, 0, 0)
        loss = loss_of(vae, batches.batch(step).images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return vae, losses


vae, losses = train(elbo_loss, steps=50)

# %% [markdown]
# The same training with the toolkit:

# %%
plain = {
    "batch": 64,
    "lr": 3e-3,
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
}
toolkit = simulacra.train(
    "vae",
    dataset=data,
    duration="50",
    **network,
    **plain,
    snapshots=1,
    seed=0,
    out=f"{RUNS}/same",
    quiet=True,
)
logged = [record["vae/loss"] for record in toolkit.run.reports.read() if record["kind"] == "train"]
simulacra.line_plot({"from scratch": losses, "toolkit": logged}, y="-ELBO in nats per image")

# %% [markdown]
# Both lines are the same: the losses of all steps are equal, and so are the trained weights. (The tolerance is that of float32:
# the toolkit computes the same sums, partly in another order.)

# %%
torch.testing.assert_close(losses, logged, rtol=1e-5, atol=0)
for mine, theirs in zip(vae.parameters(), toolkit.module.parameters(), strict=True):
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)

# %% [markdown]
# ### Sampling
#
# Sampling needs one line: decode standard normal noise.

# %%
noise = torch.randn(16, LATENTS, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    images = torch.sigmoid(vae.decoder(noise)).unflatten(1, data.spec.shape)
torch.testing.assert_close(images, toolkit.decode(noise), rtol=1e-4, atol=1e-5)
simulacra.image_grid(images, columns=8)

# %% [markdown]
# ## Break it
#
# Many implementations average one of the two terms instead of summing it, because `F.binary_cross_entropy` and `torch.mean`
# average over everything by default. The loss still falls, and the program has no error. But the two terms are no longer in the
# same unit. With $D$ pixels and $d$ latents:
#
# - the rate averaged over the latents, the distortion summed over the pixels: the rate has the weight $\beta = 1/d$;
# - the distortion averaged over the pixels, the rate summed over the latents: multiplied by $D$, the rate has the weight $\beta
#   = D$.


# %%
def averaged_rate(vae, images):
    """Return a loss that is wrong: the mean over the latents, but the sum over the pixels."""
    mean, log_var = vae.encode(images)
    logits = vae.decoder(reparameterize(mean, log_var))
    return (distortion_of(logits, images).sum(1) + rate_of(mean, log_var).mean(1)).mean()


def averaged_distortion(vae, images):
    """Return a loss that is wrong: the mean over the pixels, but the sum over the latents."""
    mean, log_var = vae.encode(images)
    logits = vae.decoder(reparameterize(mean, log_var))
    return (distortion_of(logits, images).mean(1) + rate_of(mean, log_var).sum(1)).mean()


wrong = {"mean rate": averaged_rate, "correct": elbo_loss, "mean distortion": averaged_distortion}
vaes = {name: train(loss_of, steps=200)[0] for name, loss_of in wrong.items()}

# %% [markdown]
# Samples of the three models, a row each. With too little weight on the rate, the posteriors are far from the prior, so that
# samples of the prior lie where the decoder was not trained. With too much weight, the encoder returns the prior for every
# image, and the decoder the mean image: **posterior collapse**.

# %%
noise = torch.randn(8, LATENTS, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    rows = [
        torch.sigmoid(each.decoder(noise)).unflatten(1, data.spec.shape) for each in vaes.values()
    ]
simulacra.image_grid(torch.cat(rows), columns=8)

# %% [markdown]
# How can the mistake be found without the picture? Report both terms in nats per image, whatever the loss is. Their sum is the
# bound, and only the correct loss minimizes it:

# %%
test = data.test.head(len(data.test)).images
torch.manual_seed(0)
print(f"{'':<18}{'rate':>8}{'distortion':>12}{'-ELBO':>8}   active latents")
for name, each in vaes.items():
    with torch.no_grad():
        mean, log_var = each.encode(test)
        rate = rate_of(mean, log_var).sum(1).mean()
        distortion = distortion_of(each.decoder(reparameterize(mean, log_var)), test).sum(1).mean()
    active = int(
        (mean.var(0) > 0.01).sum()
    )  # latents whose mean depends on the image (Burda et al. 2015, section 5.2)
    print(
        f"{name:<18}{rate:8.2f}{distortion:12.2f}{rate + distortion:8.2f}   {active} of {LATENTS}"
    )

# %% [markdown]
# The toolkit reports these values for every VAE. Its weight of the rate is the setting `beta`: the second mistake is `beta=D`.
# (The setting `reduction="mean"`, which averages both terms, gives $\beta = D/d$.) Its warnings name the problem and a remedy:

# %%
broken = {"beta": data.spec.dimensions, "snapshots": 3, "out": f"{RUNS}/broken"}
collapsed = simulacra.train("vae", dataset=data, duration="200", **network, **plain, **broken)

# %%
collapsed.evaluate(samples=0, metrics="elbo,active_units")

# %% [markdown]
# ## Exercises
#
# **1. The closed form.** Estimate the KL divergence of $\mathcal N(3, 1)$ from $\mathcal N(0, 1)$ with samples, from its
# definition $\mathbb E_q[\log q(z) - \log p(z)]$, and compare it with `rate_of`. How many samples give a standard error of
# 0.05?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
q, p = torch.distributions.Normal(3.0, 1.0), torch.distributions.Normal(0.0, 1.0)
torch.manual_seed(0)
for count in (100, 3_600, 1_000_000):
    z = q.sample((count,))
    terms = q.log_prob(z) - p.log_prob(z)
    print(
        f"{count:>9,} samples: {terms.mean():.3f} with a standard error of {terms.std() / count**0.5:.3f}"
    )
print(f"closed form: {rate_of(torch.tensor(3.0), torch.tensor(0.0)):.3f}")
# Every term is 3 z - 4.5, whose standard deviation is 3: a standard error of 0.05 needs (3 / 0.05)^2 = 3,600 samples.

# %% [markdown]
# **2. What does each latent carry?** Compute the rate of every latent of `model`, averaged over the test images;
# `model.module.posterior(images)` returns means and log-variances. Then compare it with the pictures of `model.traverse(image,
# steps=8)`, in which one latent varies in each row.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
with torch.no_grad():
    posterior = model.module.posterior(test)
rates = rate_of(posterior.mean, posterior.log_var).mean(0)
print("nats of each latent:", ", ".join(f"{nats:.2f}" for nats in rates))
simulacra.image_grid(model.traverse(test[0], steps=8).flatten(0, 1), columns=8)

# %% [markdown]
# **3. A tighter bound.** With $K$ samples of the posterior, the ELBO becomes the importance-weighted bound (Burda et al. 2015,
# eq. 8),
#
# $$
# \mathcal L_K(x) = \mathbb E \log \frac1K \sum_{k=1}^K \frac{p_\theta(x \mid z_k)\, p(z_k)}{q_\phi(z_k \mid x)}.
# $$
#
# It is the ELBO for $K = 1$, and increases with $K$ to $\log p_\theta(x)$. Estimate $-\mathcal L_K$ of the network `vae` on the
# test images for $K$ = 1, 2, 5, 10 and 50. Compare the last value with `toolkit.evaluate(samples=0, particles=50,
# metrics="nll")`, whose weights are the same.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
normal = torch.distributions.Normal


def log_weights(images, particles):
    """Return log p(x|z) p(z) / q(z|x) of samples z of q(z|x): [k b]."""
    mean, log_var = vae.encode(images)
    posterior = normal(mean, (log_var / 2).exp())
    z = posterior.sample((particles,))
    observed = images.flatten(1).expand(particles, -1, -1)
    distortion = F.binary_cross_entropy_with_logits(vae.decoder(z), observed, reduction="none").sum(
        2
    )
    return normal(0.0, 1.0).log_prob(z).sum(2) - posterior.log_prob(z).sum(2) - distortion


torch.manual_seed(0)
with torch.no_grad():
    weights = log_weights(test, 50)  # the first K of them are K samples
bounds = [(k, (math.log(k) - weights[:k].logsumexp(0)).mean().item()) for k in (1, 2, 5, 10, 50)]
measured = toolkit.evaluate(samples=0, particles=50, metrics="nll")["metrics"]["nll_nats"]["value"]
print(f"K = 50: {bounds[-1][1]:.2f} from scratch, {measured:.2f} with the toolkit")
assert abs(bounds[-1][1] - measured) < 0.1  # two estimates from different samples
simulacra.line_plot({"-L": bounds}, y="nats per image", x="samples K")

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("vae")
