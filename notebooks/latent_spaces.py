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
# # Latent spaces
#
# An encoder maps images to latent vectors, and a decoder maps them back. You move through this space: between two images, along
# one latent, and by arithmetic between classes, and you draw the space as a map. Then you write the spherical path and the
# principal components yourself and check that they equal the toolkit's. At the end you walk a straight line through a Gaussian
# latent space, read the sizes of groups in a t-SNE map, and measure why both are mistakes.
#
# Prerequisites: the notebook [Variational autoencoder](vae.py). The page [Latent maps](../docs/guides/latent-maps.md) has all
# details.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# For MNIST set `DATA, STEPS = "mnist", 10_000` and `HIDDEN, LATENTS = 400, 16`.

# %%
import tempfile

import numpy as np
import torch
from IPython.display import display

import simulacra
from simulacra.maps.coloring import Coloring, coloring
from simulacra.maps.faithfulness import faithfulness
from simulacra.maps.projection import project
from simulacra.maps.scatter import scatter
from simulacra.runs.latent_paths.paths import linear, spherical

DATA, STEPS = "digits", 500
HIDDEN, LATENTS, BETA = 128, 16, 0.2
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data

# %%
data = simulacra.load_data(DATA)
display(data)
test = data.test.head(min(len(data.test), 1000))

# %% [markdown]
# ## The model in ten lines
#
# A VAE with a normal prior. `beta` below 1 lets it use its latents within a training of seconds.

# %%
network = {"network": "dense", "hidden": [HIDDEN], "latent_dim": LATENTS, "beta": BETA}
model = simulacra.train(
    "vae",
    dataset=data,
    duration=str(STEPS),
    **network,
    batch=128,
    lr=4e-3,
    log_every=10,
    out=f"{RUNS}/vae",
)
latents = model.encode(test.images)
print(
    f"latents {tuple(latents.shape)}, mean {latents.mean().item():.2f}, standard deviation {latents.std().item():.2f}"
)

# %%
model.curves("nats per image", "active latent units")

# %% [markdown]
# **Between two images**, one pair in each row: encode both, interpolate, decode.

# %%
pairs = test.images[:4], test.images[4:8]
simulacra.image_grid(model.interpolate(*pairs, steps=10).flatten(0, 1), columns=10)

# %% [markdown]
# **Along one latent**: each row varies one latent of the first image from -3 to 3 standard deviations. The rows are ordered by
# the standard deviation of their latent over images: four of the first, and the last.

# %%
rows = model.traverse(test.images[0], steps=10)
simulacra.image_grid(rows[[0, 1, 2, 3, -1]].flatten(0, 1), columns=10)

# %% [markdown]
# **Arithmetic between classes**: add the difference of the mean latents of two classes, $z + t\,(m_4 - m_1)$. The first row is
# the path between the two means; below, three single ones are moved.

# %%
ones = test.images[test.labels == 1][:3]
simulacra.image_grid(
    model.interpolate_classes("1", "4", steps=10, images=ones).flatten(0, 1), columns=10
)

# %% [markdown]
# **A map**: the latents of test images in the plane of their first two principal components.

# %%
found = model.latent_map(methods=["pca"], points=min(len(data.test), 1000))
plane, faithful = found.maps[0]
print(f"variance in the plane: {plane.protocol['variance']:.1%}")
print(
    f"accuracy of 5 nearest neighbours: {found.latent_accuracy:.3f} in the latents, {faithful.knn_accuracy:.3f} in the map"
)
scatter(
    [("principal components", plane.coordinates)],
    coloring(model, data.test, found.indices),
    side=360,
)

# %% [markdown]
# The classes overlap more in the map than in the latents: the plane holds only a part of the variance.
#
# ## From scratch
#
# ### The spherical path
#
# Samples of $\mathcal N(0, I)$ in $d$ dimensions have norms near $\sqrt d$. The spherical path (Shoemake 1985) turns the
# direction at an even rate. With the unit vectors $u$ and $v$ of the ends and the angle $\omega$ between them, $\cos \omega =
# u^\top v$:
#
# $$
# \mathrm{slerp}(t) = \frac{\sin((1 - t)\, \omega)}{\sin \omega}\, u + \frac{\sin(t\, \omega)}{\sin \omega}\, v,
# $$
#
# multiplied by a norm that changes linearly from that of one end to that of the other.


# %%
def slerp(start, end, steps):
    """Return points [steps b d] on the arc between vectors [b d]."""
    norms = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    first, last = start / norms[0], end / norms[1]
    angle = torch.acos((first * last).sum(1, keepdim=True).clamp(-1, 1))
    t = torch.linspace(0, 1, steps)[:, None, None]
    direction = (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * last) / torch.sin(
        angle
    )
    return direction * ((1 - t) * norms[0] + t * norms[1])


mine = slerp(latents[:4], latents[4:8], 10)
torch.testing.assert_close(mine, spherical(latents[:4], latents[4:8], 10), rtol=1e-5, atol=1e-5)
decoded = model.decode(mine.transpose(0, 1).flatten(0, 1)).unflatten(0, (4, 10))
torch.testing.assert_close(decoded, model.interpolate(*pairs, steps=10), rtol=1e-4, atol=1e-5)
print("points and decoded images equal those of the toolkit")

# %% [markdown]
# ### Principal components
#
# The plane of the map is spanned by the two eigenvectors with the largest eigenvalues of the covariance matrix. A singular value
# decomposition of the centred latents $Z - m = U S V^\top$ has the same vectors in $V$, and the variances $s_i^2 / n$. The sign
# of an eigenvector is arbitrary: here its element of largest absolute value is positive.


# %%
def principal_components(points):
    """Return the coordinates [n 2] of points [n d] along the first two principal components, and their share of the variance."""
    exact = np.asarray(points, np.float64)
    centred = exact - exact.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    return centred @ (axes * signs[:, None])[:2].T, (singular[:2] ** 2).sum() / (singular**2).sum()


coordinates, share = principal_components(found.latents)
np.testing.assert_allclose(coordinates, plane.coordinates, rtol=1e-6, atol=1e-8)
np.testing.assert_allclose(share, plane.protocol["variance"])
print(f"coordinates and variance ({share:.1%}) equal those of the toolkit")

# %% [markdown]
# ## Break it
#
# ### A straight line through a Gaussian
#
# The middle of the straight line between two independent samples of $\mathcal N(0, I)$ has the covariance $I / 2$: its norm is
# smaller by $\sqrt 2$. In many dimensions the norms of samples vary little, so that few samples of the prior have a norm as
# small: the decoder was hardly trained there.

# %%
noise = torch.randn(2, 2000, LATENTS, generator=torch.Generator().manual_seed(0))
norms = {
    name: path(*noise, 11).norm(dim=2).mean(1)
    for name, path in {"linear": linear, "spherical": spherical}.items()
}
positions = np.linspace(0, 1, 11).tolist()
plotted = {
    name: list(zip(positions, values.tolist(), strict=True)) for name, values in norms.items()
}
display(simulacra.line_plot(plotted, y="mean norm", x="position"))
middle = norms["linear"][5].item()
rarer = (noise[0].norm(dim=1) < middle).double().mean().item()
print(
    f"mean norm at the ends {norms['linear'][0].item():.2f}, in the middle of the line {middle:.2f}"
)
print(f"samples of the prior with a norm below that of the middle: {rarer:.1%}")
assert abs(norms["linear"][0].item() / middle - 2**0.5) < 0.02

# %% [markdown]
# The middle of the line decodes to greyer, smoother images. A measure of greyness is the mean of $p (1 - p)$ over the pixels,
# which is 0 for black and white. Below: first three lines, then the three arcs between the same samples.

# %%
ends = noise[0, :500], noise[1, :500]


def greyness(latents):
    """Return the mean of p (1 - p) over the pixels of decoded latents [n d]."""
    images = model.decode(latents)
    return (images * (1 - images)).mean().item()


grey = {
    name: greyness(path(*ends, 11)[5])
    for name, path in {"linear": linear, "spherical": spherical}.items()
}
for path in (linear, spherical):
    points = path(*(end[:3] for end in ends), 11).transpose(0, 1)
    display(simulacra.image_grid(model.decode(points.flatten(0, 1)), columns=11))
print(
    f"greyness of samples {greyness(ends[0]):.4f}, of the middle of lines {grey['linear']:.4f}, of arcs {grey['spherical']:.4f}"
)
assert grey["linear"] > grey["spherical"]

# %% [markdown]
# The toolkit takes the arc for a normal prior and the line for a model without a prior, unless `path` names one.
#
# ### Sizes and distances in a t-SNE map
#
# t-SNE places neighbours beside each other. The width of its kernel adapts to the density at every point, so that *sizes of
# groups and distances between them have no meaning*. Three groups of points in 10 dimensions, with standard deviations 0.1, 0.5
# and 1: in the principal components the ratio of their sizes is kept, in t-SNE it is not.

# %%
random = np.random.default_rng(0)
sizes = (0.1, 0.5, 1.0)
groups = [
    random.normal(0, size, (50, 10)) + 10 * np.eye(10)[index] for index, size in enumerate(sizes)
]
points = np.concatenate(groups).astype(np.float32)
names = tuple(f"standard deviation {size}" for size in sizes)
numbers = np.repeat(np.arange(3), 50)
ratios, maps = {}, []
for method in ("pca", "tsne"):
    drawn = project(method, points, perplexity=15).coordinates
    maps.append((method, drawn))
    spread = drawn.reshape(3, 50, 2).std(1).mean(1)
    ratios[method] = spread[2] / spread[0]
    print(
        f"{method:5} sizes of the groups relative to the first:",
        *(f"{value / spread[0]:.1f}" for value in spread),
    )
print(f"true ratio of the largest to the smallest: {sizes[2] / sizes[0]:.0f}")
assert ratios["tsne"] < 3 < ratios["pca"]
scatter(
    maps, Coloring("group", tuple(names[number] for number in numbers), names, numbers), side=260
)

# %% [markdown]
# `latent-map` prints what a map loses: *trustworthiness* (are neighbours in the map neighbours in the latents?), *continuity*
# (the converse), and the accuracy of nearest neighbours in the map and in the latents. It reports no sizes and no distances.
#
# ## Exercises
#
# **1.** Which norm does the mean latent of a class have, compared with the latents of its images? What does it mean for the first
# row of the arithmetic above?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
fours = latents[test.labels == 4]
print(
    f"norm of the mean {fours.mean(0).norm().item():.2f}, mean of the norms {fours.norm(dim=1).mean().item():.2f}"
)
# The mean has a smaller norm than each of the latents: it decodes to a typical, smooth four.

# %% [markdown]
# **2.** How many principal components hold 90 % of the variance of the latents? Compare with the number of latents whose means
# vary.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
values = np.linalg.eigvalsh(np.cov(latents.numpy().T))[::-1]
print("components for 90 % of the variance:", int((values.cumsum() / values.sum() < 0.9).sum()) + 1)
print(
    "latents whose means have a standard deviation above 0.1:",
    int((latents.std(0) > 0.1).sum()),
    "of",
    LATENTS,
)

# %% [markdown]
# **3.** Map pure noise, 150 samples of $\mathcal N(0, I)$ in 16 dimensions, with t-SNE at perplexities 5 and 40. Which "groups"
# appear, and what does trustworthiness report?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
pure = random.normal(size=(150, 16)).astype(np.float32)
maps = [
    (f"perplexity {value}", project("tsne", pure, perplexity=value).coordinates)
    for value in (5, 40)
]
for name, drawn in maps:
    print(f"{name}: trustworthiness {faithfulness(pure, drawn, None).trustworthiness:.3f}")
display(
    scatter(
        maps,
        Coloring("norm", ("",) * 150, (), np.linalg.norm(pure.astype(np.float64), axis=1)),
        side=260,
    )
)
# Clumps of noise look like groups at the small perplexity. Groups that remain for several perplexities and seeds are more likely
# real.

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("latent-maps")
