"""Chapter 3: a generative and a discriminative linear classifier by number of labels, and samples of class Gaussians."""

import torch
import torch.nn.functional as F
from chart import Axis, lines
from measures import data, frechet, save_grid
from torch import Tensor

SMALLEST = 0.01  # added to the variances, since some pixels of the digits are always black
SPLITS = 20


def generative(images: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Return the classes [n] of test images by Bayes' rule, with independent Gaussian pixels of one variance for all classes."""
    onehot = F.one_hot(labels, 10).double()
    shares, means = onehot.mean(0), (onehot.T @ images) / onehot.sum(0)[:, None]
    variances = (images - means[labels]).square().mean(0) + SMALLEST
    scaled = means / variances
    return (shares.log() + test @ scaled.T - 0.5 * (means * scaled).sum(1)).argmax(1)


def discriminative(images: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Return the classes [n] of test images by logistic regression with weight decay, fitted by L-BFGS."""
    weights = torch.zeros(images.shape[1] + 1, 10, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(images @ weights[:-1] + weights[-1], labels) + 0.5 * weights.square().sum() / len(images)
        loss.backward()
        return loss

    optimizer.step(closure)
    return (test @ weights[:-1] + weights[-1]).argmax(1).detach()


def accuracies() -> None:
    """Draw the accuracy of both classifiers on the test digits by the number of labelled training images."""
    train, test = (split.head(2000) for split in (data("digits").train, data("digits").test))
    images, unseen = train.images.flatten(1).double(), test.images.flatten(1).double()
    series: dict[str, list[tuple[float, float]]] = {"generative (naive Bayes)": [], "discriminative (logistic)": []}
    for count in (20, 50, 100, 200, 500, 1375):
        found = torch.zeros(2, SPLITS)
        for split in range(SPLITS):
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(split))
            by_class = [order[train.labels[order] == label][: max(1, count // 10)] for label in range(10)]
            chosen = torch.cat(by_class) if count < len(images) else order
            for row, classify in enumerate((generative, discriminative)):
                found[row, split] = (classify(images[chosen], train.labels[chosen], unseen) == test.labels).double().mean()
            if count >= len(images):
                found = found[:, :1]
                break
        for (name, pairs), row in zip(series.items(), 100 * found, strict=True):
            pairs.append((count, row.mean().item()))
            spread = f" +- {row.std().item() / len(row) ** 0.5:.1f}" if len(row) > 1 else ""
            print(f"{count} labels: {name} {row.mean().item():.1f}{spread} %")
    x = Axis("labelled training images (logarithmic)", 20, 1400, (20, 50, 100, 200, 500, 1375), log=True)
    y = Axis("accuracy on 297 test digits, %", 70, 100, (70, 80, 90, 100))
    lines("course-classifiers", "Two linear classifiers of the digits", series, x, y, legend="bottom")


def samples() -> None:
    """Draw MNIST images from a Gaussian with full covariance for each class, and measure their distance from real images."""
    train = data("mnist").train.head(55_000)
    images = train.images.flatten(1).double()
    random = torch.Generator().manual_seed(0)
    drawn = torch.empty(10_000, 784)
    for label in range(10):
        own = images[train.labels == label]
        deviations = own - own.mean(0)
        values, vectors = torch.linalg.eigh(deviations.T @ deviations / len(own))
        noise = torch.randn(1000, 784, generator=random, dtype=torch.float64) * values.clamp_min(0).sqrt()
        drawn[label::10] = (own.mean(0) + noise @ vectors.T).float()
    found = drawn.reshape(-1, 1, 28, 28).clamp(0, 1)
    distance = frechet(found, "mnist")
    print(f"10,000 samples: Fréchet distance {distance.value:.1f} +- {distance.standard_error:.1f}")
    real = torch.cat([train.images[train.labels == label][:2] for label in range(10)])
    order = [column for label in range(10) for column in (label, label + 10)]
    save_grid("course-gaussians", [real, found[order]])


accuracies()
samples()
