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
# # Restoration
#
# Degraded images have several possible originals. You degrade digits with named operators, restore them with two kinds of models,
# and compare both with simple baselines. Then you write a linear degradation with its adjoint, and the signal-to-noise ratio, and
# check them against the toolkit. At the end you rank restorations by one number, and see which picture it prefers.
#
# Prerequisites: the notebooks [Restorer](restorer.py) and [Diffusion](diffusion.py). The pages
# [Restoring images](../docs/guides/restoration.md) and [Restorer](../docs/families/restorer.md) have all details.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# For MNIST set `DATA, STEPS, DIFFUSION_STEPS = "mnist", 5_000, 5_000` and `FEATURES = (32, 64)`.

# %%
import tempfile

import torch
from IPython.display import display

import simulacra
from simulacra.core.randomness import Streams
from simulacra.degradations import parse
from simulacra.images.restorations import restoration_table
from simulacra.metrics.statistics.image_similarity import psnr

DATA, STEPS, DIFFUSION_STEPS = "digits", 160, 80
FEATURES, DEGRADATION = (16, 32), "bottom"
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data, degraded
#
# A degradation is a named operator; operators are composed by `+`. Masks leave the other pixels as they are; all other operators
# change every pixel. One operator in each row:

# %%
data = simulacra.load_data(DATA)
test = data.test.head(40).images
for name in ("bottom", "random-mask:0.5", "blur:1", "downscale:2+noise:0.1"):
    degraded = parse(name).apply(test[:8], Streams(test[:8]).draw)
    print(f"{name}: {degraded.known.mean().item():.0%} of the pixels are known")
    display(simulacra.image_grid(degraded.image, columns=8))

# %% [markdown]
# ## The models in ten lines
#
# A **restorer** is trained on pairs of degraded and original images, and draws a restoration in one evaluation of its network. A
# **diffusion model** is trained on images without degradations and restores missing pixels of any mask, in several steps.

# %%
training = {"dataset": data, "batch": 32, "log_every": 10, "snapshots": 1}
restorer = simulacra.train(
    "restorer", degradation=DEGRADATION, features=list(FEATURES), hidden=[64], latent_dim=8, blocks=0, beta=0.3, lr=3e-3,
    duration=str(STEPS), **training, out=f"{RUNS}/restorer",
)  # fmt: skip
diffusion = simulacra.train(
    "diffusion",
    features=list(FEATURES),
    lr=5e-3,
    sampling_steps=6,
    duration=str(DIFFUSION_STEPS),
    **training,
    out=f"{RUNS}/diffusion",
)

# %%
found = {
    "restorer": restorer.restore(test, DEGRADATION, draws=8),
    "diffusion": diffusion.restore(test, DEGRADATION, draws=8, calibration_images=0),
}
for name, model in {"restorer": restorer, "diffusion": diffusion}.items():
    print(name)
    display(
        restoration_table(
            model.restore(test[:5], DEGRADATION, draws=8, calibration_images=0), shown=6
        )
    )

# %% [markdown]
# Columns: original, degraded image, mean of eight draws, their standard deviation, six of the draws. The restorer's draws are
# mean images of $p(x \mid z, d)$, smooth where $z$ does not determine a pixel; those of the diffusion model are sharper, and
# differ more.
#
# ## From scratch
#
# ### A degradation and its adjoint
#
# Blurring and downscaling are linear: they multiply each channel $X$ by a matrix from both sides, $A(X) = R X C^\top$.
# Reconstruction methods need the *adjoint* $A^*$, for which $\langle A x, y \rangle = \langle x, A^* y \rangle$ for all $x$ and
# $y$: it is $A^*(Y) = R^\top Y C$. The test with random $x$ and $y$ finds almost every mistake.


# %%
def means_of_blocks(side, factor=2):
    """Return the matrix [side side] that replaces every value by the mean of its block."""
    block = torch.arange(side) // factor
    same = (block[:, None] == block).double()
    return same / same.sum(1, keepdim=True)


matrix = means_of_blocks(data.spec.height)
downscale = parse("downscale:2").operators[0]
x, y = torch.randn(
    2, 4, *data.spec.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
)
draw = Streams(x).draw  # random numbers, which this operator does not use
torch.testing.assert_close(matrix @ x @ matrix.T, downscale.forward(x, draw))
torch.testing.assert_close(matrix.T @ y @ matrix, downscale.adjoint(y, draw))
left, right = ((matrix @ x @ matrix.T) * y).sum(), (x * (matrix.T @ y @ matrix)).sum()
print(f"<A x, y> = {left.item():.10f}, <x, A* y> = {right.item():.10f}")
torch.testing.assert_close(left, right)

# %% [markdown]
# ### The peak signal-to-noise ratio
#
# $$
# \mathrm{PSNR} = -10 \log_{10} \mathrm{MSE} \quad \text{in decibels, for pixels in } [0, 1],
# $$
#
# computed for each image, then averaged. A mean of the decibels is not the decibels of the mean error.


# %%
def my_psnr(images, references):
    """Return the PSNR of each image [n]."""
    return -10 * torch.log10((images.double() - references.double()).square().flatten(1).mean(1))


mean = found["restorer"].mean
torch.testing.assert_close(my_psnr(mean, test), psnr(mean, test))
print(f"mean of the PSNR {my_psnr(mean, test).mean():.3f} dB")
print(f"PSNR of the mean error {-10 * (mean - test).square().mean().log10():.3f} dB")

# %% [markdown]
# ### Mean and standard deviation of the draws

# %%
for one in found.values():
    torch.testing.assert_close(one.draws.mean(1), one.mean)
    torch.testing.assert_close(one.draws.std(1), one.deviation, rtol=1e-4, atol=1e-5)
    assert torch.equal(
        torch.where(one.known, one.draws[:, 0], 0), torch.where(one.known, test, 0)
    )  # known pixels are copied

# %% [markdown]
# ### Baselines
#
# Two restorations without a neural network: the mean of the training images, and the training image that agrees best with the
# known pixels.

# %%
train = data.train.head(len(data.train)).images
known = found["restorer"].known
distances = torch.cdist((test * known).flatten(1), (train * known[:1]).flatten(1))
baselines = {
    "mean image": train.mean(0, keepdim=True).expand_as(test),
    "nearest image": train[distances.argmin(1)],
}
restorations = {name: torch.where(known, test, images) for name, images in baselines.items()}
restorations |= {f"{name}, mean": one.mean for name, one in found.items()}
restorations |= {f"{name}, one draw": one.draws[:, 0] for name, one in found.items()}
numbers = {name: my_psnr(images, test).mean().item() for name, images in restorations.items()}
for name, value in sorted(numbers.items(), key=lambda item: -item[1]):
    print(f"{name:22}{value:7.2f} dB")

# %% [markdown]
# The nearest training image is a strong baseline on digits of 8 x 8 pixels, and better than models after a training of seconds:
# always print a baseline beside a model.
#
# ## Break it
#
# **PSNR alone.** The image with the smallest expected squared error is the mean of all possible originals. It is blurred where
# these differ, and need not resemble any of them. For each model, a ranking by PSNR
# prefers the mean of the draws to a single draw:

# %%
for name in found:
    assert numbers[f"{name}, mean"] > numbers[f"{name}, one draw"]
contrast = {
    name: images[~known.expand_as(images)].std().item()
    for name, images in {"originals": test, **restorations}.items()
}
for name, value in contrast.items():
    print(f"{name:22} standard deviation of the hidden pixels {value:.3f}")
display(
    simulacra.image_grid(
        torch.cat([test[:8], *(images[:8] for images in restorations.values())]), columns=8
    )
)

# %% [markdown]
# Rows: the originals, then the restorations in the order of the list. The mean image has too little contrast. The toolkit reveals
# it: `evaluate --metrics restoration` prints `diversity` beside `psnr_db`, which is 0 for a model that always returns the mean,
# and the coverage of its intervals; `restoration_features` compares the distribution of the draws with that of the originals.

# %%
for name, one in found.items():
    hidden = (~one.known).expand_as(one.deviation)
    print(
        f"{name}: diversity (mean standard deviation of hidden pixels over draws) {one.deviation[hidden].mean().item():.3f}"
    )
restorer.evaluate(metrics="restoration", draws=8)

# %% [markdown]
# A model that was not made for a degradation is refused:

# %%
try:
    diffusion.restore(test[:4], "blur:1")
except simulacra.UsageError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# **1.** The expected squared error of a draw from the exact posterior is twice that of its mean. Measure the ratio for both
# models over the hidden pixels.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
for name, one in found.items():
    hidden = (~one.known).expand_as(test)
    errors = [
        (images - test)[hidden].square().mean().item() for images in (one.draws[:, 0], one.mean)
    ]
    print(
        f"{name}: draw {errors[0]:.4f}, mean of 8 draws {errors[1]:.4f}, ratio {errors[0] / errors[1]:.2f}"
    )
# E|x - draw|^2 = E|x - mean|^2 + E|draw - mean|^2, and the two terms are equal if the draw has the distribution of x. A ratio
# below 2 shows that the draws vary less than the originals do.

# %% [markdown]
# **2.** Is a blur of 1 pixel its own adjoint at the border of the image? Test it.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
blur = parse("blur:1").operators[0]
print(
    f"largest difference {(blur.forward(x, draw) - blur.adjoint(x, draw)).abs().max().item():.1e}"
)
# Yes: beyond the border the image is mirrored, which makes the matrix of the blur symmetric.

# %% [markdown]
# **3.** Give a mask of your own: hide the two columns in the middle, and restore with the diffusion model, which needs no new
# training.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
mask = torch.ones(*data.spec.shape[1:], dtype=torch.bool)
mask[:, data.spec.width // 2 - 1 : data.spec.width // 2 + 1] = False
display(
    restoration_table(
        diffusion.restore(test[:3], known=mask, draws=4, calibration_images=0), shown=4
    )
)

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("restoration")
