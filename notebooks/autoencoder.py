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
# # Autoencoder
#
# An autoencoder compresses every image to a few numbers, the latents, and reconstructs the image from them. You train one with
# the toolkit, compare it with principal component analysis (PCA), then write it in plain PyTorch and check that both trainings
# have the same losses and the same weights. You also see what an autoencoder cannot do: generate images.
#
# Prerequisites: PyTorch modules and optimizers. The page [Autoencoder](../docs/families/autoencoder.md) explains the model and
# its settings.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# `digits` are the 1,797 images of 8 x 8 pixels of scikit-learn, on which everything below takes seconds. For MNIST set `DATA,
# STEPS = "mnist", 10_000` and `HIDDEN, LATENTS = 400, 20`.

# %%
import tempfile

import torch
from torch import nn

import simulacra
from simulacra.data.batches import Batches

DATA, STEPS = "digits", 600
HIDDEN, LATENTS = 128, 8
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# The toolkit splits the images into training, validation and test images. The test images are used for evaluation alone.

# %%
data = simulacra.load_data(DATA)
data

# %% [markdown]
# ## The model in ten lines
#
# The encoder maps an image $x$ of $D$ pixels to $d$ latents, the decoder maps the latents back to an image $\hat x$. Training
# minimizes the squared error of the reconstruction. Since $d$ is smaller than $D$, the identity is impossible: the model has to
# find out what distinguishes the images of the data set from each other.

# %%
network = {"network": "dense", "hidden": [HIDDEN], "latent_dim": LATENTS}
training = {"duration": str(STEPS), "batch": 64, "lr": 3e-3, "ema": 0.99, "log_every": 10}
model = simulacra.train("autoencoder", dataset=data, **network, **training, out=f"{RUNS}/first")

# %%
result = model.evaluate()
result

# %% [markdown]
# Test images, each with its reconstruction below it, and the interpolation between two of them:

# %%
originals = data.test.head(8).images
simulacra.image_grid(torch.cat([originals, model.reconstruct(originals)]), columns=8)

# %%
simulacra.image_grid(
    model.interpolate(originals[:2], originals[2:4], steps=8).flatten(0, 1), columns=8
)

# %% [markdown]
# ## A baseline: principal component analysis
#
# A mean squared error alone does not say whether a model is good. The baseline with the same number of latents is PCA, the best
# *linear* encoder and decoder (Baldi & Hornik 1989): it projects the images $x$ onto the $d$ directions $v_j$ of largest
# variance of the training images,
#
# $$
# \hat x = \bar x + \sum_{j=1}^d \bigl(v_j^\top (x - \bar x)\bigr)\, v_j .
# $$


# %%
train_images = data.train.head(len(data.train)).images.flatten(1)
test_images = data.test.head(len(data.test)).images.flatten(1)
center = train_images.mean(0)
components = torch.linalg.svd(train_images - center, full_matrices=False).Vh


def pca_error(count):
    """Return the mean squared error of a pixel of the test images, of PCA with `count` components."""
    latents = (test_images - center) @ components[:count].T
    return (center + latents @ components[:count] - test_images).square().mean().item()


print(f"mean image       {pca_error(0):.4f}")
print(f"PCA, {LATENTS} components {pca_error(LATENTS):.4f}")
print(f"autoencoder      {result['metrics']['mse']['value']:.4f}")

# %% [markdown]
# The error of the mean image is the variance of the pixels. The autoencoder has a smaller error than PCA, because its encoder
# and decoder are not linear.
#
# ## From scratch
#
# ### The networks and the loss
#
# The last layer of the decoder is followed by a sigmoid, so that every pixel is in $[0, 1]$. The loss is the squared error,
# *summed over the pixels* and averaged over the images:
#
# $$
# L = \frac1B \sum_{i=1}^B \sum_{k=1}^D \bigl(x_{ik} - \hat x_{ik}\bigr)^2 .
# $$


# %%
class Autoencoder(nn.Module):
    """An autoencoder of images with `pixels` pixels."""

    def __init__(self, pixels, hidden, latents):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, latents)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
        )

    def forward(self, images):
        """Return reconstructions [b pixels] of images [b c h w]."""
        return torch.sigmoid(self.decoder(self.encoder(images)))


def squared_error(autoencoder, images):
    """Return the squared error summed over the pixels, the mean over the images."""
    return (autoencoder(images) - images.flatten(1)).square().sum(1).mean()


# %% [markdown]
# ### The training loop
#
# To compare with the toolkit, both trainings must begin with the same weights and use the same batches. `simulacra.untrained`
# returns the weights with which `train` begins, `Batches` the sequence of batches. An autoencoder draws no random numbers in
# training.


# %%
def train(images, steps, batch=64):
    """Return an autoencoder trained on a split of the data, and its losses."""
    first = simulacra.untrained("autoencoder", dataset=data, **network)
    autoencoder = Autoencoder(data.spec.dimensions, HIDDEN, LATENTS)
    weights = zip(autoencoder.state_dict(), first.state_dict().values(), strict=True)
    autoencoder.load_state_dict(dict(weights))
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=3e-3)
    batches = Batches(images, batch, seed=0)
    losses = []
    for step in range(steps):
        loss = squared_error(autoencoder, batches.batch(step).images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return autoencoder, losses


autoencoder, losses = train(data.train, steps=50)

# %% [markdown]
# The same training with the toolkit. The settings switch off what changes the updates of the weights by default: the warm-up
# and the schedule of the learning rate, and the moving average of the weights.

# %%
plain = {"batch": 64, "lr": 3e-3, "warmup": 0, "schedule": "constant", "ema": 0, "log_every": 1}
same = {"duration": "50", "precision": "float32", "seed": 0, "snapshots": 1, "out": f"{RUNS}/same"}
toolkit = simulacra.train("autoencoder", dataset=data, **network, **plain, **same, quiet=True)
records = toolkit.run.reports.read()
logged = [record["autoencoder/loss"] for record in records if record["kind"] == "train"]
simulacra.line_plot({"from scratch": losses, "toolkit": logged}, y="squared error of an image")

# %% [markdown]
# The losses of all steps are equal, and so are the trained weights and the reconstructions. (The tolerance is that of float32:
# the toolkit computes the same sums, partly in another order.)

# %%
torch.testing.assert_close(losses, logged, rtol=1e-5, atol=0)
for mine, theirs in zip(autoencoder.parameters(), toolkit.module.parameters(), strict=True):
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
with torch.no_grad():
    mine = autoencoder(originals)
torch.testing.assert_close(mine, toolkit.reconstruct(originals).flatten(1), rtol=1e-4, atol=1e-5)

# %% [markdown]
# ## Why it cannot generate images
#
# The decoder maps any latents to an image. Latents drawn from a normal distribution with the means and the standard deviations
# of real latents have values in the usual range, one by one. Their images are nevertheless no digits:

# %%
latents = model.encode(data.train.head(1000).images)
generator = torch.Generator().manual_seed(0)
noise = torch.randn(16, LATENTS, generator=generator)
simulacra.image_grid(model.decode(latents.mean(0) + latents.std(0) * noise), columns=8)

# %% [markdown]
# The training determines nothing about the distribution of the latents. They fill a small part of the space, and between them
# the decoder was never trained. The toolkit therefore refuses to sample:

# %%
try:
    model.sample(16)
except simulacra.NotApplicable as error:
    print(error)

# %% [markdown]
# A [variational autoencoder](vae.ipynb) is trained so that its latents have a known distribution.
#
# ## Break it
#
# A common mistake is to evaluate a model on the images on which it was trained. Here, 100 images are enough for a small error:

# %%
few = simulacra.load_data(DATA, limit=100)
memorizing, _ = train(few.train, steps=600, batch=50)
with torch.no_grad():
    seen = few.train.head(len(few.train)).images
    error_of_seen = (memorizing(seen) - seen.flatten(1)).square().mean().item()
    error_of_test = (memorizing(test_images) - test_images).square().mean().item()
print(f"on the training images {error_of_seen:.4f}")
print(f"on the test images     {error_of_test:.4f}")
print(f"PCA on the test images {pca_error(LATENTS):.4f}")

# %% [markdown]
# The first value has nothing to do with how well the model reconstructs other images: there it is worse than PCA. The toolkit
# evaluates on test images, and measures the validation loss during the training. The dots of its curve leave the line, and the
# warning names the problem:

# %%
overfit = simulacra.train(
    "autoencoder",
    dataset=few,
    **network,
    **plain | {"batch": 50, "log_every": 10},
    duration="600",
    out=f"{RUNS}/overfit",
)

# %%
overfit.evaluate(metrics="reconstruction")

# %% [markdown]
# ## Exercises
#
# **1. The number of latents.** Draw the error of PCA for 1 to 64 components, and that of autoencoders with 2, 4 and 16 latents,
# trained for 200 steps. What happens with 64 latents, and why has an autoencoder no use there?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
measured = []
for count in (2, 4, 16):
    settings = {"network": "dense", "hidden": [HIDDEN], "latent_dim": count}
    settings |= {"duration": "200", "batch": 64, "lr": 3e-3, "ema": 0.99, "snapshots": 1}
    trained = simulacra.train(
        "autoencoder", dataset=data, **settings, out=f"{RUNS}/{count}", quiet=True
    )
    found = trained.evaluate(metrics="reconstruction")
    measured.append((count, found["metrics"]["mse"]["value"]))
dimensions = data.spec.dimensions
pca = [(count, pca_error(count)) for count in range(1, dimensions + 1)]
# With as many latents as pixels PCA is the identity: nothing is compressed, and nothing is learned about the images.
simulacra.line_plot({"PCA": pca, "autoencoder": measured}, y="mean squared error", x="latents")

# %% [markdown]
# **2. A linear autoencoder.** Without hidden layers and without the sigmoid, the smallest error is that of PCA. Train
# `nn.Linear(D, d)` and `nn.Linear(d, D)` on the centred training images with Adam. Does it find the principal components
# themselves?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
torch.manual_seed(0)
centred, pixels = train_images - center, data.spec.dimensions
linear = nn.Sequential(
    nn.Linear(pixels, LATENTS, bias=False), nn.Linear(LATENTS, pixels, bias=False)
)
optimizer = torch.optim.Adam(linear.parameters(), lr=1e-2)
for _ in range(300):
    loss = (linear(centred) - centred).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    found = (linear(test_images - center) - (test_images - center)).square().mean().item()
print(f"linear autoencoder {found:.4f}, PCA {pca_error(LATENTS):.4f}")
# It finds the space that the components span, in an arbitrary basis: the cosines of the angles between both spaces are 1.
basis = torch.linalg.qr(linear[1].weight.detach()).Q
angles, first = torch.linalg.svdvals(components[:LATENTS] @ basis), components[0] @ basis
print("cosines of the angles between the spaces:", [round(cosine, 3) for cosine in angles.tolist()])
print("first component in the basis:", [round(cosine, 2) for cosine in first.tolist()])

# %% [markdown]
# **3. Better random latents.** Draw latents from a normal distribution with the full covariance of the latents of the training
# images instead of their standard deviations. Why do the images become better, and what is still missing?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
factor = torch.linalg.cholesky(latents.T.cov())
# The covariance keeps pairs of latents consistent. But real latents form a cluster for each digit; one normal distribution also
# covers the space between the clusters.
simulacra.image_grid(model.decode(latents.mean(0) + noise @ factor.T), columns=8)

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("autoencoder")
