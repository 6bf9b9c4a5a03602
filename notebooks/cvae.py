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
# # Conditional variational autoencoder
#
# A conditional VAE (CVAE) is a model $p(x \mid y)$ of images $x$ with a given class $y$. You train one with the toolkit, generate
# images of a class, change the class of an image and keep its style, and classify images by Bayes' rule. Then you write the model
# in plain PyTorch and check that its losses, its weights and its classifications equal the toolkit's. At the end you remove the
# label from one of the two networks and measure what happens.
#
# Prerequisites: the notebook [Variational autoencoder](vae.py). The page
# [Conditional variational autoencoder](../docs/families/cvae.md) has all details.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# For MNIST set `DATA, STEPS = "mnist", 10_000` and `HIDDEN, LATENTS = 400, 20`.

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
from simulacra.families.cvae import CVAE

DATA, STEPS = "digits", 400
HIDDEN, LATENTS, BETA = 64, 6, 0.2
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# Images with one label each, the digit.

# %%
data = simulacra.load_data(DATA)
display(data)
test = data.test.head(len(data.test))
CLASSES = len(data.spec.classes)
print("classes:", *data.spec.classes)
print("labels of the first eight test images:", test.labels[:8].tolist())

# %% [markdown]
# ## The model in ten lines
#
# Encoder and decoder both receive the label. The latents then need not contain the class: they describe what varies within a
# class, such as slant and stroke width, here called the *style*. `beta` is the weight of the rate in the loss; below 1, the model
# uses its latents within a training of seconds.

# %%
network = {"network": "dense", "hidden": [HIDDEN], "latent_dim": LATENTS, "beta": BETA}
model = simulacra.train(
    "cvae",
    dataset=data,
    duration=str(STEPS),
    **network,
    batch=128,
    lr=5e-3,
    log_every=10,
    out=f"{RUNS}/cvae",
)

# %%
model.curves("nats per image")

# %%
result = model.evaluate(metrics="conditional_likelihood,label_likelihood", particles=50)
result

# %% [markdown]
# `conditional_bound_nats` is the mean of $-\mathrm{ELBO}(x, y)$, an upper bound of $-\log p(x \mid y)$, and `nll_nats` is an
# estimate of $-\log p(x)$, without the label. They differ by about $\log 10 = 2.3$ nats: the cost of the information which of ten
# classes it is.
#
# **Images of a class.** One class in each row, the same latents in each column: the columns share a style.

# %%
grid = model.sample_classes(10, seed=0)  # [classes styles c h w]
simulacra.image_grid(grid.flatten(0, 1), columns=10)

# %% [markdown]
# **Another class, the same style.** Test images in the first row; below, their latents decoded with every class from 0 to 9.

# %%
first = data.test.head(10)
rendered = model.render_classes(first.images, first.condition)  # [classes n c h w]
simulacra.image_grid(torch.cat([first.images, rendered.flatten(0, 1)]), columns=10)

# %% [markdown]
# ## From scratch
#
# ### The networks
#
# The label becomes a one-hot vector, multiplied by $\sqrt{10}$ so that its entries have a mean square of 1, as the latents have.
# The decoder receives it beside the latents. The encoder receives it beside the pixels: a linear layer of two concatenated inputs
# is the sum of one linear layer for each, which is computed here.


# %%
class MyCVAE(nn.Module):
    """A conditional VAE of images with `pixels` pixels."""

    def __init__(self, pixels, classes, hidden, latents):
        super().__init__()
        self.classes = classes
        self.of_pixels = nn.Linear(pixels, hidden)
        self.of_label = nn.Linear(classes, hidden, bias=False)
        self.posterior = nn.Linear(hidden, 2 * latents)
        self.decoder = nn.Sequential(
            nn.Linear(latents + classes, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
        )

    def one_hot(self, labels):
        """Return [b classes] with a mean square of 1."""
        return F.one_hot(labels, self.classes) * math.sqrt(self.classes)

    def encode(self, images, labels):
        """Return mean and log-variance of q(z|x,y), [b d] each."""
        hidden = F.relu(self.of_pixels(images.flatten(1)) + self.of_label(self.one_hot(labels)))
        return self.posterior(hidden).chunk(2, 1)

    def decode(self, latents, labels):
        """Return the logits [b pixels] of p(x|z,y)."""
        return self.decoder(torch.cat([latents, self.one_hot(labels)], 1))


# %% [markdown]
# ### The loss
#
# Every step in the derivation of the ELBO holds given $y$ (Sohn et al. 2015, eq. 4):
#
# $$
# \log p_\theta(x \mid y) \;\ge\; \mathbb E_{q_\phi(z \mid x, y)} \bigl[\log p_\theta(x \mid z, y)\bigr]
# - \mathrm{KL}\bigl(q_\phi(z \mid x, y) \,\|\, \mathcal N(0, I)\bigr).
# $$
#
# The bound favours latents without the class: latents that encode one of ten classes cost up to $\log 10$ nats of rate, and the
# label provides the same information at no cost.


# %%
def terms(cvae, images, labels, noise):
    """Return rate and distortion [b] in nats, at the latents mean + sigma * noise."""
    mean, log_var = cvae.encode(images, labels)
    rate = (mean**2 + log_var.exp() - 1 - log_var).sum(1) / 2
    logits = cvae.decode(mean + torch.exp(log_var / 2) * noise, labels)
    distortion = F.binary_cross_entropy_with_logits(
        logits, images.flatten(1), reduction="none"
    ).sum(1)
    return rate, distortion


# %% [markdown]
# ### The training loop, and the comparison
#
# `simulacra.untrained` returns the weights with which the toolkit begins, `Batches` its batches, and `reseed` sets the random
# number generator to its state at the beginning of a training step. Warm-up, schedule and moving average are switched off.

# %%
cvae = MyCVAE(data.spec.dimensions, CLASSES, HIDDEN, LATENTS)
weights = simulacra.untrained("cvae", dataset=data, **network, seed=0).state_dict()
cvae.load_state_dict(dict(zip(cvae.state_dict(), weights.values(), strict=True)))
optimizer = torch.optim.Adam(cvae.parameters(), lr=5e-3)
batches, losses = Batches(data.train, 64, seed=0), []
for step in range(60):
    batch = batches.batch(step)
    reseed(0, "step", step, 0, 0, 0)
    rate, distortion = terms(cvae, batch.images, batch.labels, torch.randn(64, LATENTS))
    loss = (BETA * rate + distortion).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

plain = {
    "batch": 64,
    "lr": 5e-3,
    "warmup": 0,
    "schedule": "constant",
    "ema": 0,
    "precision": "float32",
    "log_every": 1,
    "seed": 0,
}
toolkit = simulacra.train(
    "cvae",
    dataset=data,
    duration="60",
    **network,
    **plain,
    snapshots=1,
    out=f"{RUNS}/same",
    quiet=True,
)
logged = [record["cvae/loss"] for record in toolkit.run.reports.read() if record["kind"] == "train"]
simulacra.line_plot({"from scratch": losses, "toolkit": logged}, y="loss in nats per image")

# %% [markdown]
# The losses of all steps and the final weights are equal, up to the rounding of float32.

# %%
torch.testing.assert_close(losses, logged, rtol=1e-5, atol=0)
for mine, theirs in zip(cvae.parameters(), toolkit.module.parameters(), strict=True):
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)

# %% [markdown]
# ### Classification by Bayes' rule
#
# A model of images given labels is also a classifier:
#
# $$
# p(y \mid x) = \frac{p(x \mid y)\, p(y)}{\sum_{y'} p(x \mid y')\, p(y')},
# \qquad \log p(x \mid y) \approx \mathrm{ELBO}(x, y).
# $$
#
# With equally frequent classes, $p(y)$ cancels: $p(y \mid x)$ is the softmax of the ten bounds. The toolkit evaluates them at the
# mean of the posterior, so that the result has no noise. The weights of the long training, in our own model:


# %%
@torch.no_grad()
def log_posterior(cvae, images):
    """Return log p(y|x) [b classes] by Bayes' rule, equally probable classes."""
    bounds = []
    for label in range(CLASSES):
        rate, distortion = terms(cvae, images, torch.full((len(images),), label), noise=0.0)
        bounds.append(-rate - distortion)
    return torch.log_softmax(torch.stack(bounds, 1), 1)


cvae.load_state_dict(dict(zip(cvae.state_dict(), model.module.state_dict().values(), strict=True)))
mine = log_posterior(cvae, test.images)
torch.testing.assert_close(
    mine, model.module.class_log_probabilities(test.images), rtol=1e-4, atol=1e-3
)
accuracy = (mine.argmax(1) == test.labels).double().mean().item()
print(f"accuracy by Bayes' rule with the ELBO: {accuracy:.3f}")
print(
    f"bayes_accuracy of the toolkit, with importance sampling: {result['metrics']['bayes_accuracy']['value']:.3f}"
)

# %% [markdown]
# ## Break it
#
# The encoder receives the label, and the decoder does not: the label is missing in one concatenation. The loss falls as before,
# since the model is now a VAE whose encoder has a further input. In the toolkit, a family of one's own can have this fault: a
# class with one changed method.


# %%
class Forgetful(CVAE):
    """A conditional VAE with a fault: its decoder receives zeros instead of the label."""

    def _outputs(self, latents, given):
        return self.decoder(torch.cat([latents, 0 * self.conditioning(given)], 1)).float()


broken = simulacra.train(
    Forgetful,
    dataset=data,
    duration=str(STEPS),
    **network,
    batch=128,
    lr=5e-3,
    snapshots=1,
    out=f"{RUNS}/broken",
    quiet=True,
)
print("requested classes 0 to 9, one in each row:")
simulacra.image_grid(broken.sample_classes(10, seed=0).flatten(0, 1), columns=10)

# %% [markdown]
# All rows are equal. Three numbers reveal it, of which the loss is the least clear:
#
# - **label agreement**: how many generated images of a requested class does an independent classifier assign to this class? The
#   classifier here is the class of the nearest training image. (`evaluate --metrics label_agreement` uses a convolutional
#   network.)
# - **bayes_accuracy**: all classes have nearly the same $p(x \mid y)$, so that their comparison is arbitrary.
# - **rate**: the latents must now carry the class. Without the label in the decoder, there is no other way.

# %%
train = data.train.head(len(data.train))


def agreement(model, count=50):
    """Return the share of generated images whose nearest training image has the requested class."""
    images = model.sample_classes(count, seed=1)
    nearest = torch.cdist(images.flatten(0, 1).flatten(1), train.images.flatten(1)).argmin(1)
    requested = torch.arange(CLASSES).repeat_interleave(count)
    return (train.labels[nearest] == requested).double().mean().item()


def rate_of(model):
    """Return the mean rate of test images in nats."""
    posterior = model.module.posterior(test.images, test.condition)
    mean, log_var = posterior.mean, posterior.log_var
    return (mean**2 + log_var.exp() - 1 - log_var).sum(1).mean().item() / 2


print(f"{'':10}{'agreement':>12}{'bayes_accuracy':>18}{'rate in nats':>15}{'bound in nats':>16}")
agreements = {}
for name, one in {"correct": model, "broken": broken}.items():
    numbers = one.evaluate(metrics="conditional_likelihood,label_likelihood", particles=50)[
        "metrics"
    ]
    agreements[name] = agreement(one)
    bayes, bound = (numbers[key]["value"] for key in ("bayes_accuracy", "conditional_bound_nats"))
    print(f"{name:10}{agreements[name]:12.3f}{bayes:18.3f}{rate_of(one):15.2f}{bound:16.2f}")
assert agreements["correct"] > 0.9
assert abs(agreements["broken"] - 1 / CLASSES) < 0.05

# %% [markdown]
# Changing the class of an image has no effect either: the class is in the latents. Test images in the first row, decoded with
# class 0 and class 7 below.

# %%
simulacra.image_grid(
    torch.cat(
        [first.images, broken.render_classes(first.images, first.condition)[[0, 7]].flatten(0, 1)]
    ),
    columns=10,
)

# %% [markdown]
# ## Exercises
#
# **1.** Do the latents of the correct model contain the class? Compute the mean latent of each class from training images, and
# classify test images by the nearest mean. Compare with the broken model.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
for name, one in {"correct": model, "broken": broken}.items():
    known, unseen = (
        one.encode(train.images, train.condition),
        one.encode(test.images, test.condition),
    )
    means = torch.stack([known[train.labels == label].mean(0) for label in range(CLASSES)])
    share = (torch.cdist(unseen, means).argmin(1) == test.labels).double().mean().item()
    print(
        f"{name}: {share:.2f} of the test images have the nearest mean of their class (chance: {1 / CLASSES:.2f})"
    )

# %% [markdown]
# **2.** What is encoded if the label given to the encoder is wrong? Encode test images with the label 0, decode them with the
# label 0, and compare the bound with that of the true label.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
zeros = torch.zeros_like(test.labels)
with torch.no_grad():
    bounds = {
        name: sum(terms(cvae, test.images, labels, 0.0))
        for name, labels in {"true": test.labels, "0": zeros}.items()
    }
others = test.labels != 0
for name, bound in bounds.items():
    print(f"label {name}: {bound[others].mean().item():.1f} nats per image that is no 0")
display(
    simulacra.image_grid(
        torch.cat([first.images, model.render_classes(first.images, first.condition)[0]]),
        columns=10,
    )
)
# The bound is worse by many nats, since no latents make the decoder of zeros draw the other digits well: the difference between
# the two bounds is the log-odds of Bayes' rule. (Values at the posterior mean.)

# %% [markdown]
# **3.** With few labels: the semi-supervised model M2 (Kingma et al. 2014) has a classifier $q(y \mid x)$ that is trained on
# labelled images and, through the bound $\sum_y q(y \mid x) \mathcal L(x, y) - \mathcal H(q(y \mid x))$, on unlabelled images
# too. Train it with 50 labels, and compare its accuracy with that of the nearest labelled image.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
dense = {
    "classifier_network": "dense",
    "classifier_hidden": [64],
    "dropout": 0.2,
    "classifier_shift": 0,
    "classification_weight": 30,
}
m2 = simulacra.train(
    "cvae", dataset=data, semi_supervised=True, labels=50, duration="200", **network, **dense, batch=64, lr=5e-3, snapshots=1,
    out=f"{RUNS}/m2", quiet=True,
)  # fmt: skip
from simulacra.data.semi_supervised import labelled_rows

rows = labelled_rows(
    data.train, data.spec.classes, 50, seed=0
)  # the training images whose labels M2 receives
nearest = torch.cdist(test.images.flatten(1), train.images[rows].flatten(1)).argmin(1)
print(
    f"M2, 50 labels: {(m2.module.class_log_probabilities(test.images).argmax(1) == test.labels).double().mean().item():.3f}"
)
print(
    f"nearest of 50 labelled images: {(train.labels[rows][nearest] == test.labels).double().mean().item():.3f}"
)
# Images of 8 x 8 pixels are strong features by themselves, and 200 steps are few. On MNIST, M2 with 100 labels has 95.8 %, and
# the five nearest labelled images 66 % (see the guide on classification): always compare with a simple baseline on the same
# labels.

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("cvae")
