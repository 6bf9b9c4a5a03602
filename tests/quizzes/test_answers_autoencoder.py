"""The numbers of the quiz of the autoencoder."""

import torch
from tests.quizzes.answers import check

import simulacra
from simulacra.objectives.likelihood import bernoulli

EIGENVALUES = torch.tensor([5, 3, 1, 0.5, 0.25])


def variance_of_pixels():
    train = simulacra.load_data("digits").train
    return train.head(len(train)).images.var(0, correction=0).mean().item()


def error_of_two_components():
    """The squared error of the projection of a point cloud with these eigenvalues to its first two principal components."""
    points = torch.cat([torch.diag(EIGENVALUES.sqrt()), -torch.diag(EIGENVALUES.sqrt())]) * len(EIGENVALUES) ** 0.5
    directions = torch.linalg.svd(points, full_matrices=False).Vh[:2]
    return (points - points @ directions.T @ directions).pow(2).sum(1).mean().item()


ANSWERS = {
    "loss-of-an-mse": lambda: 0.01 * torch.zeros(1, 28, 28).numel(),
    "mean-image": variance_of_pixels,
    "linear-autoencoder": error_of_two_components,
    "cross-entropy-of-a-grey-pixel": lambda: -bernoulli(torch.tensor([[0.0]]), torch.tensor([[0.5]])).item(),
}


def test_every_number_is_the_computed_one():
    check("autoencoder", ANSWERS)
