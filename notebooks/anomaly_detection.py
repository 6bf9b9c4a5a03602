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
# # Anomaly detection
#
# A model that was trained on normal images only can find images that are unlike them: defects, corrupted files, unknown classes.
# You train an autoencoder on the digits 0 to 6, score new images, and calibrate a threshold whose rate of false alarms is known.
# Then you write the score, the threshold and the area under the ROC curve yourself and check that they equal the toolkit's. At
# the end you choose the threshold in two wrong ways, and measure how optimistic they are.
#
# Prerequisites: the notebook [Autoencoder](autoencoder.py). The page [Anomaly detection](../docs/guides/anomaly-detection.md) has
# all details.

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %% [markdown]
# ## Settings
#
# For MNIST set `DATA, STEPS = "mnist", 5_000` and `HIDDEN, LATENTS = 400, 16`.

# %%
import math
import tempfile

import torch
from IPython.display import display

import simulacra

DATA, STEPS = "digits", 500
HIDDEN, LATENTS = 64, 8
NORMAL, RATE = "0,1,2,3,4,5,6", 0.05  # classes of the training, wanted rate of false alarms
RUNS = tempfile.mkdtemp()  # folder of the runs

# %% [markdown]
# ## The data
#
# Normal images are the digits 0 to 6. A fifth of the training images is held out for *validation*: they will give the threshold.
# The digits 7, 8 and 9 are unknown to the model and serve as anomalies.

# %%
chosen = {"only_classes": NORMAL, "validation": 0.2}
data = simulacra.load_data(DATA, **chosen)
display(data)
normal = data.test.head(len(data.test)).images
everything = simulacra.load_data(DATA)
test = everything.test.head(len(everything.test))
unknown = test.images[test.labels >= 7]
simulacra.image_grid(torch.cat([normal[:12], unknown[:12]]), columns=12)

# %% [markdown]
# ## The model in ten lines

# %%
network = {"network": "dense", "hidden": [HIDDEN], "latent_dim": LATENTS}
model = simulacra.train(
    "autoencoder",
    data=DATA,
    **chosen,
    duration=str(STEPS),
    **network,
    batch=64,
    lr=3e-3,
    log_every=10,
    out=f"{RUNS}/normal",
)

# %%
model.curves()

# %%
calibrated = model.command("detect calibrate", score="features", false_positive_rate=RATE)
calibrated

# %%
evaluated = model.command(
    "detect evaluate", score="features", anomalies="noise,blur,rotation,cutout,inverted,other-class"
)
evaluated

# %% [markdown]
# Each kind of anomalies has an **AUROC**, the probability that an anomaly has a larger score than a normal image, and a
# **true-positive rate**, the share of anomalies above the calibrated threshold. The rows below the model are baselines without a
# model, and must be beaten: on these small images, principal components alone (`pca`) are as good or better.
#
# `detect` returns score, p-value among normal images and verdict of each image. The p-values of the images below, row by row; a
# star is an alarm:

# %%
found = simulacra.open(f"{RUNS}/normal").detect(
    torch.cat([normal[:8], unknown[:8]]), score="features"
)
for kind, part in {"normal": slice(0, 8), "unknown": slice(8, 16)}.items():
    verdicts = zip(found.p_values[part], found.anomalous[part], strict=True)
    print(f"{kind:8}", *(f"{value:.3f}{'*' if alarm else ' '}" for value, alarm in verdicts))
simulacra.image_grid(torch.cat([normal[:8], unknown[:8]]), columns=8)

# %% [markdown]
# ## From scratch
#
# ### The score
#
# **Reconstruction error**: the model reconstructs images like the training images better than others, $s(x) = \lVert x - \hat x
# \rVert^2$.
#
# **Local outlier ratio** (`features`): how far are the ten nearest training images in latent space, compared with the distances
# $r(n_i)$ of these to their own ten nearest? The ratio is about 1 among the training images, however dense they are there:
#
# $$
# s(x) = \frac{\frac{1}{10} \sum_i \lVert z - n_i \rVert}{\frac{1}{10} \sum_i r(n_i)}.
# $$

# %%
training = model.encode(data.train.head(len(data.train)).images).double()
own = (
    torch.cdist(training, training).topk(11, largest=False).values[:, 1:].mean(1)
)  # without the distance 0 to itself


def local_outlier_ratio(images):
    """Return a score [n], about 1 for images like the training images and larger for others."""
    distances, neighbours = torch.cdist(model.encode(images).double(), training).topk(
        10, largest=False
    )
    return distances.mean(1) / own[neighbours].mean(1)


def reconstruction_error(images):
    """Return the squared error of the reconstruction [n], summed over pixels."""
    return (model.reconstruct(images) - images).square().flatten(1).sum(1).double()


torch.testing.assert_close(
    local_outlier_ratio(normal), model.anomaly_scores(normal, "features"), rtol=1e-4, atol=1e-4
)
torch.testing.assert_close(
    reconstruction_error(normal),
    model.anomaly_scores(normal, "reconstruction"),
    rtol=1e-4,
    atol=1e-4,
)

# %% [markdown]
# ### The threshold
#
# Where does "anomalous" begin? Sort the scores of $n$ validation images, which are normal and which the model has not seen. If a
# new normal image comes from the same distribution, its score is equally likely to have each of the $n + 1$ ranks among them. The
# score of rank
#
# $$
# m = \lceil (n + 1)(1 - \alpha) \rceil
# $$
#
# is therefore exceeded with a probability of at most $\alpha$, whatever the distribution of the scores (Vovk et al. 2005). The
# *conformal p-value* of an image is the share of normal images that are at least as anomalous, itself included.

# %%
validation = local_outlier_ratio(data.validation.head(len(data.validation)).images).sort().values
count = len(validation)
rank = math.ceil((count + 1) * (1 - RATE))
threshold = validation[rank - 1].item()
print(f"threshold from scratch {threshold:.4f}, of the toolkit {calibrated['threshold']:.4f}")
assert math.isclose(threshold, calibrated["threshold"], rel_tol=1e-4)

scores = local_outlier_ratio(torch.cat([normal[:8], unknown[:8]]))
p_values = (1 + (validation >= scores[:, None]).sum(1)) / (count + 1)
torch.testing.assert_close(p_values.double(), found.p_values)

# %% [markdown]
# The rate $\alpha$ holds on average over calibrations. The rate of this one threshold is a random number: the share of a
# continuous distribution above the $m$-th of $n$ order statistics, which is distributed as $\mathrm{Beta}(n + 1 - m, m)$. A
# simulation with uniform scores shows it, since the share above a uniform number $u$ is $1 - u$:

# %%
torch.manual_seed(0)
rates = 1 - torch.rand(20_000, count).sort(1).values[:, rank - 1]
low, high = rates.quantile(torch.tensor([0.025, 0.975])).tolist()
print(f"mean rate {rates.mean():.4f}; 95 % interval by simulation {low:.4f} to {high:.4f}")
print(
    "95 % interval of the toolkit, by quantiles of the Beta distribution: {:.4f} to {:.4f}".format(
        *calibrated["true_rate_interval"]
    )
)
torch.testing.assert_close([low, high], calibrated["true_rate_interval"], rtol=0, atol=0.003)

# %% [markdown]
# ### AUROC
#
# The area under the ROC curve needs no curve: it is the share of pairs (anomaly, normal image) in which the anomaly has the
# larger score, ties counted half. This is the rank statistic of Mann and Whitney (Hanley & McNeil 1982).


# %%
def auroc(of_normal, of_anomalies):
    """Return the probability that an anomaly has a larger score than a normal image."""
    difference = of_anomalies[:, None] - of_normal
    return ((difference > 0).double() + (difference == 0).double() / 2).mean().item()


of_normal, of_unknown = local_outlier_ratio(normal), local_outlier_ratio(unknown)
reported = evaluated["metrics"]["other-class"]["auroc"]["value"]
print(f"AUROC from scratch {auroc(of_normal, of_unknown):.4f}, of the toolkit {reported:.4f}")
assert math.isclose(auroc(of_normal, of_unknown), reported, abs_tol=1e-3)
alarms = {"normal": of_normal > threshold, "unknown": of_unknown > threshold}
print(
    *(f"{name}: {value.double().mean().item():.1%} alarms" for name, value in alarms.items()),
    sep=", ",
)

# %% [markdown]
# ## Break it
#
# **A threshold from training images.** The scores of training images are too small: the model has adapted to them, and with a
# score of neighbours every training image is its own nearest one. The quantile of their scores promises 5 % false alarms, and new
# normal images raise many more. The score here is the mean distance to the three nearest training images in latent space.


# %%
def neighbour_distance(images):
    """Return the mean distance to the three nearest training images in latent space [n]."""
    return (
        torch.cdist(model.encode(images).double(), training).topk(3, largest=False).values.mean(1)
    )


seen = neighbour_distance(data.train.head(len(data.train)).images).sort().values
held_out = neighbour_distance(data.validation.head(count).images).sort().values
new = neighbour_distance(normal)
rates = {
    "training images": (new > seen[math.ceil((len(seen) + 1) * (1 - RATE)) - 1])
    .double()
    .mean()
    .item(),
    "validation images": (new > held_out[rank - 1]).double().mean().item(),
}
for name, rate in rates.items():
    print(f"threshold from {name}: promised {RATE:.0%}, false alarms on test images {rate:.1%}")
assert rates["training images"] > 2 * RATE
assert rates["validation images"] < 2 * RATE

# %% [markdown]
# **A threshold chosen with test labels.** Many reports choose the threshold with the best accuracy on the labelled test set, and
# report that accuracy. How optimistic is this with few test images? Draw 15 normal images and 15 anomalies, choose the best
# threshold on them, and measure the accuracy of this threshold on all other test images.

# %%
torch.manual_seed(0)


def accuracy(of_normal, of_anomalies, threshold):
    """Return the mean of the accuracies on normal images and on anomalies."""
    return (
        (of_normal <= threshold).double().mean() + (of_anomalies > threshold).double().mean()
    ).item() / 2


claimed, achieved = [], []
for _ in range(300):
    first, second = torch.randperm(len(of_normal)), torch.randperm(len(of_unknown))
    small = of_normal[first[:15]], of_unknown[second[:15]]
    best = max(torch.cat(small).tolist(), key=lambda value: accuracy(*small, value))
    claimed.append(accuracy(*small, best))
    achieved.append(accuracy(of_normal[first[15:]], of_unknown[second[15:]], best))
claim, truth = (torch.tensor(values).mean().item() for values in (claimed, achieved))
print(
    f"claimed on the images of the choice: {claim:.1%}, on other test images: {truth:.1%}, mean of 300 choices"
)
assert claim > truth + 0.01

# %% [markdown]
# The toolkit has no way to do this: `detect calibrate` takes the validation images, `detect evaluate` scores the test images once
# with the stored threshold. It also refuses a rate that the number of validation images cannot resolve:

# %%
try:
    model.command("detect calibrate", score="features", false_positive_rate=0.001)
except simulacra.UsageError as error:
    print(error)

# %% [markdown]
# **Gaussian noise proves nothing.** A score that is useless for the task, the total brightness of neighbouring differences,
# detects strong noise without any training:


# %%
def roughness(images):
    """Return the sum of squared differences between neighbouring pixels [n]."""
    return images.diff(dim=2).square().flatten(1).sum(1) + images.diff(dim=3).square().flatten(
        1
    ).sum(1)


noisy = (
    normal + 0.5 * torch.randn(normal.shape, generator=torch.Generator().manual_seed(0))
).clamp(0, 1)
print(f"roughness, AUROC against noise: {auroc(roughness(normal), roughness(noisy)):.3f}")
print(
    f"roughness, AUROC against unknown digits: {auroc(roughness(normal), roughness(unknown)):.3f}"
)

# %% [markdown]
# ## Exercises
#
# **1.** One image in 1,000 is an anomaly. With the rates of alarms above, which share of the alarms is justified?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
false, true = (value.double().mean().item() for value in alarms.values())
print(f"{0.001 * true / (0.001 * true + 0.999 * false):.1%} of the alarms are anomalies")
# Nearly all alarms are false, although the AUROC is high: a rate of false alarms must be small compared with the share of
# anomalies.

# %% [markdown]
# **2.** How many validation images are needed at least for a rate of 1 % and of 0.1 %? Compute the smallest possible p-value.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
for rate in ("0.01", "0.001"):
    print(
        f"rate {rate}: at least {round(1 / float(rate)) - 1} images, since the smallest p-value of n images is 1 / (n + 1)"
    )
print(f"here: n = {count}, smallest p-value {1 / (count + 1):.4f}")

# %% [markdown]
# **3.** Which score is better against unknown digits, the reconstruction error or the local outlier ratio? Give both an AUROC,
# and look at the unknown digits that the autoencoder reconstructs best.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
errors = reconstruction_error(unknown)
print(f"reconstruction error {auroc(reconstruction_error(normal), errors):.3f}")
print(f"local outlier ratio {auroc(of_normal, of_unknown):.3f}")
best = errors.argsort()[:8]
display(
    simulacra.image_grid(torch.cat([unknown[best], model.reconstruct(unknown[best])]), columns=8)
)
# The autoencoder generalizes: it reconstructs some digits that it has never seen. To choose a score by its AUROC on test images
# is one more way of using test labels: choose on synthetic anomalies made from validation images.

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("anomaly-detection")
