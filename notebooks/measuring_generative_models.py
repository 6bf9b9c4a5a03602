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
# # Measuring generative models
#
# How good are generated images? You write the Fréchet distance, the kernel distance, precision, recall, density, coverage and a
# test of memorization from scratch, check that they equal the toolkit's on the same features, and see four ways to measure
# wrongly: few images, another extractor, training images as the reference, and one evaluation without an interval.
#
# Heusel et al. 2017 (FID); Binkowski et al. 2018 (KID); Kynkäänniemi et al. 2019 (precision, recall); Naeem et al. 2020 (density,
# coverage); Chong & Forsyth 2020 (bias of the FID).

# %% tags=["install"]
# In Colab or a new environment: upload the wheel that `make wheel` builds, and remove the comment sign of the next line.
# # %pip install --quiet simulacra-*.whl

# %%
import tempfile
from pathlib import Path

import torch
from IPython.display import display
from torch import Tensor, nn

import simulacra
from simulacra.core.progress import SILENT
from simulacra.evaluation.warnings import evaluation_warnings
from simulacra.metrics.statistics import frechet, kernel, nearest_training, neighbourhoods
from simulacra.metrics.statistics.moments import blocked_moments

DATA, STEPS = "digits", 800  # For MNIST: DATA, STEPS = "mnist", 4000 (a minute).
RUNS = Path(tempfile.mkdtemp())
torch.set_num_threads(1)

# %% [markdown]
# ## Data and a model in ten lines
#
# A small variational autoencoder generates the images to be measured. The real images are split into two halves: a *reference*,
# and *others* that take the place of generated images. The result for the others is the **floor**: what a perfect model would
# get.

# %%
data = simulacra.load_data(DATA, quiet=True)
model = simulacra.train(
    "vae",
    dataset=data,
    **{
        "network": "dense",
        "hidden": [128],
        "latent_dim": 8,
        "lr": 4e-3,
        "batch": 64,
        "duration": str(STEPS),
        "snapshots": 2,
    },
    seed=0,
    out=RUNS / "vae",
)
generated = (model.sample(600, seed=1) * 255).round() / 255
train = data.train.head(len(data.train)).images
reference, others = train[:600], train[600:1200]
display(
    simulacra.image_grid(torch.cat([generated[:10], reference[:10]]), 10)
)  # above generated, below real

# %% [markdown]
# ## Features
#
# All these metrics compare sets of feature vectors, not of pixels. `simulacra evaluate` uses the last hidden layer of a
# classifier that is trained on the data, which takes minutes. Here a network with fixed random weights has to do: cheap, and
# sufficient for the formulas, because the metrics take any features.


# %%
def extractor(seed: int, dimensions: int = 32) -> nn.Module:
    """Return a network with random weights from images to features [n dimensions]."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(data.spec.dimensions, 128),
            nn.ReLU(),
            nn.Linear(128, dimensions),
        )
    return layers.requires_grad_(False)


features = extractor(0)
fakes, reals, floor = (features(images) for images in (generated, reference, others))

# %% [markdown]
# ## Fréchet distance
#
# Fit a normal distribution to each set. The squared Fréchet distance of the two (Dowson & Landau 1982) is
#
# $$\mathrm{FD} = \lVert m_1 - m_2 \rVert^2 + \operatorname{tr}\bigl(S_1 + S_2 - 2 (S_1 S_2)^{1/2}\bigr).$$
#
# It is called FID only with the features of one particular Inception network. The trace of the root is the sum of the roots of
# the eigenvalues of $S_2^{1/2} S_1 S_2^{1/2}$, which is symmetric. Computed in double precision.


# %%
def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return the squared Fréchet distance of normal distributions fitted to features [n d]."""
    a, b = first.double(), second.double()
    s1, s2 = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(s2)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ s1 @ root).clamp_min(0).sqrt().sum()
    return (((a.mean(0) - b.mean(0)) ** 2).sum() + s1.trace() + s2.trace() - 2 * overlap).item()


with SILENT.task("metrics", None, "images") as meter:
    measured = frechet.frechet_distance(blocked_moments(fakes), blocked_moments(reals), meter)
own = frechet_distance(fakes, reals)
print(f"generated: {own:.5f}, toolkit {measured.value:.5f} +- {1.96 * measured.standard_error:.5f}")
print(f"other real images (floor): {frechet_distance(floor, reals):.5f}")
assert abs(own / measured.value - 1) < 1e-4

# %% [markdown]
# ## Kernel distance
#
# The squared maximum mean discrepancy with the kernel $k(x, y) = (x^\top y / d + 1)^3$: similar pairs within the sets, minus
# similar pairs across them. Without the diagonal the estimate is unbiased, and therefore sometimes negative.


# %%
def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy."""

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    x, y = first.double(), second.double()
    within = [
        similarity(rows, rows).fill_diagonal_(0).sum() / (len(rows) * (len(rows) - 1))
        for rows in (x, y)
    ]
    return (sum(within) - 2 * similarity(x, y).mean()).item()


print(f"generated {kernel_distance(fakes, reals):.6f}, floor {kernel_distance(floor, reals):.6f}")
assert abs(kernel_distance(fakes, reals) - kernel.discrepancy(fakes, reals)) < 1e-9

# %% [markdown]
# ## Precision, recall, density, coverage
#
# Around every image is a ball that extends to its fifth nearest neighbour in its own set.
#
# - **precision**: share of generated images in at least one ball of a real image (are they realistic?);
# - **recall**: share of real images in at least one ball of a generated image (is everything generated?);
# - **density**: number of real balls that contain a generated image, divided by 5; can exceed 1;
# - **coverage**: share of real images whose ball contains a generated image.


# %%
def support_metrics(first: Tensor, second: Tensor) -> dict[str, float]:
    """Return precision, recall, density and coverage of generated features in relation to real ones."""
    a, b = first.double(), second.double()
    radius_a, radius_b = (torch.cdist(rows, rows).sort(1).values[:, 5] for rows in (a, b))
    distances = torch.cdist(a, b)  # [generated real]
    in_real = distances <= radius_b
    in_generated = distances <= radius_a[:, None]
    return {
        "precision": in_real.any(1).double().mean().item(),
        "recall": in_generated.any(0).double().mean().item(),
        "density": (in_real.sum(1) / 5).double().mean().item(),
        "coverage": in_real.any(0).double().mean().item(),
    }


with SILENT.task("metrics", None, "images") as meter:
    toolkit = neighbourhoods.neighbourhoods(fakes, reals, meter)
mine, perfect = support_metrics(fakes, reals), support_metrics(floor, reals)
for name, value in mine.items():
    low, high = toolkit[name].bounds
    print(f"{name:10} {value:.3f} (95 %: {low:.3f} to {high:.3f}), real images {perfect[name]:.3f}")
    assert abs(value - toolkit[name].value) < 0.005

# %% [markdown]
# The images of a small VAE are blurred: they lie near the centre of the data, in the balls of many real images, and are more
# similar to each other than real images are. Precision alone would praise it; recall and coverage do not.
#
# ## Memorization
#
# A model that repeats its training images has a perfect Fréchet distance. The distance to the nearest *training* image reveals
# it, in relation to that of images that were held out. The ratio of medians is 1 for new images and 0 for copies. Half of the
# images below are copies.


# %%
def nearest_ratio(first: Tensor, known: Tensor, unseen: Tensor) -> float:
    """Return the median distance to the nearest training image, of generated in relation to held-out images."""
    generated_median, usual = (
        torch.cdist(rows, known).amin(1).quantile(0.5) for rows in (first, unseen)
    )
    return (generated_median / usual).item()


held_out = features(data.test.head(290).images)
copying = torch.cat([fakes[:295], reals[:305]])
for name, rows in {"model": fakes, "half copies": copying}.items():
    with SILENT.task("metrics", None, "images") as meter:
        found = nearest_training.memorization(rows, reals, held_out, 0, meter).nearest_train_ratio
    print(
        f"{name:12} ratio {nearest_ratio(rows, reals, held_out):.3f}, toolkit {found.value:.3f},",
        end=" ",
    )
    print(
        f"copies {found.protocol['copies']:.0%}, Fréchet distance {frechet_distance(rows, reals):.4f}"
    )
    print("   ", evaluation_warnings({"nearest_train_ratio": found}, data.spec.dimensions))
assert evaluation_warnings({"nearest_train_ratio": found}, data.spec.dimensions)

# %% [markdown]
# The copies *improve* the Fréchet distance. Only the test of memorization warns.
#
# ## Break it: few images
#
# The Fréchet distance of a finite sample is too large, also for two samples of the same distribution, by an amount proportional
# to $1/n$. A model that is measured with 100 images cannot be compared with one that is measured with 600.

# %%
sizes, generator = (50, 100, 200, 400, 600), torch.Generator().manual_seed(0)
print("images   generated     floor")
biased = {}
for count in sizes:
    drawn = [torch.randperm(600, generator=generator)[:count] for _ in range(10)]
    biased[count] = [
        sum(frechet_distance(rows[chosen], reals[chosen.flip(0)]) for chosen in drawn) / 10
        for rows in (fakes, floor)
    ]
    print(f"{count:6}{biased[count][0]:12.4f}{biased[count][1]:10.4f}")
print("floor times n:", [round(count * biased[count][1], 1) for count in sizes])
assert biased[50][1] > 4 * biased[600][1]

# %% [markdown]
# The product of the floor and $n$ is nearly constant. The toolkit refuses fewer than 100 images, flags few ones, and estimates
# the bias:

# %%
try:
    frechet.frechet_distance(blocked_moments(fakes[:50]), blocked_moments(reals), meter)
except simulacra.UsageError as error:
    print("refused:", error)
with SILENT.task("metrics", None, "images") as meter:
    few = frechet.frechet_distance(
        blocked_moments(fakes[:150]), blocked_moments(reals[:150]), meter
    )
print(f"150 images: {few.value:.4f}; flag: {few.protocol['few_samples']}")
print(
    f"estimated bias {few.protocol['bias']:.4f}, without it {few.protocol['extrapolated']:.4f} (600 images: {own:.4f})"
)

# %% [markdown]
# ## Break it: another extractor, training images as the reference
#
# Distances in other features are other numbers. Of five extractors that differ only in the seed of their weights, each gives
# another distance for the same images. The ratio to the floor varies less, but also depends on the features. The toolkit stores
# the digest of the extractor with each number, and compares numbers only where it is equal.

# %%
print("seed   distance     floor     ratio")
for seed in range(5):
    network = extractor(seed)
    distance = frechet_distance(network(generated), network(reference))
    lowest = frechet_distance(network(others), network(reference))
    print(f"{seed:4}{distance:11.4f}{lowest:10.4f}{distance / lowest:10.2f}")

# %% [markdown]
# A model that returns its training images has the distance 0 to them, and that of the floor to other images. Measured on training
# images, memorization is a success:

# %%
print(
    f"copies of training images: on the training images {frechet_distance(reals, reals):.4f},",
    end=" ",
)
print(f"on others {frechet_distance(reals, floor):.4f}")
assert frechet_distance(reals, reals) < 1e-6 < frechet_distance(reals, floor)

# %% [markdown]
# `simulacra evaluate` always compares with test or validation images.
#
# ## Intervals
#
# One evaluation is one draw. Its interval comes from the jackknife: blocks of images are left out in turn. Check it by
# repetition: measure twenty disjoint-noise sets of generated images, and compare the standard deviation with the standard error.

# %%
values = []
many = features((model.sample(4000, seed=2) * 255).round() / 255)
for rows in many.split(200):
    values.append(frechet_distance(rows, reals))
with SILENT.task("metrics", None, "images") as meter:
    single = frechet.frechet_distance(blocked_moments(many[:200]), blocked_moments(reals), meter)
spread = torch.tensor(values).std()
print(f"20 evaluations of 200 images: mean {sum(values) / 20:.4f}, standard deviation {spread:.4f}")
print(
    f"one evaluation: {single.value:.4f}, standard error {single.standard_error:.4f} (covers the real images, too)"
)
assert 0.5 * spread < single.standard_error < 3 * spread

# %% [markdown]
# Two models whose intervals overlap widely are not different. Report the interval, the number of images and the extractor.
#
# ## Exercises
#
# 1. Change the samples in one way that lowers recall and not precision, and in one that lowers precision.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 1
# Few different images: every one is realistic, but most real images are in no ball. Noise: images are no longer realistic.
repeated = others[:20].repeat(30, 1, 1, 1) + 1e-3 * torch.randn(
    600, *data.spec.shape, generator=generator
)
noisy = others + 0.4 * torch.randn(others.shape, generator=generator)
for name, images in {"real": others, "repeated": repeated, "noisy": noisy}.items():
    found_shares = support_metrics(features(images), reals)
    print(
        f"{name:9} precision {found_shares['precision']:.2f}, recall {found_shares['recall']:.2f}"
    )

# %% [markdown]
# 2. The Fréchet distance sees only mean and covariance. Construct features that differ strongly from the real ones, and have the
#    distance 0.

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 2
# Real features mirrored at their mean: the same mean and covariance, but another distribution.
mirrored = 2 * reals.mean(0) - reals
print(
    f"Fréchet distance {frechet_distance(mirrored, reals):.1e}, precision {support_metrics(mirrored, reals)['precision']:.2f}"
)
assert frechet_distance(mirrored, reals) < 1e-4

# %% [markdown]
# 3. Extrapolate the Fréchet distance of the floor to infinitely many images: fit a straight line in $1/n$ to the table above.
#    Which value is right?

# %% jupyter={"source_hidden": true} tags=["solution", "hide-input"] cellView="form"
# @title Solution 3
# Both sets have the same distribution, so the distance is 0.
inverse = torch.tensor([[1 / count, 1.0] for count in sizes], dtype=torch.float64)
heights = torch.tensor([biased[count][1] for count in sizes], dtype=torch.float64)
slope, intercept = torch.linalg.lstsq(inverse, heights[:, None]).solution.flatten().tolist()
print(
    f"limit {intercept:.4f}, in relation to the value of 100 images {intercept / biased[100][1]:.0%}"
)

# %% [markdown]
# ## Quiz

# %%
simulacra.quiz("evaluation")
