"""Calibration of class probabilities: temperature scaling and the expected calibration error (Guo et al. 2017)."""

import torch
from torch import Tensor

BINS = 15
"""Number of bins of equal width of the expected calibration error (Guo et al. 2017, section 4)."""

_HALVINGS = 100
_LARGEST = 1e3  # of the temperature and of its reciprocal


def mean_nll(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood in nats of classes int64 [n] under softmax(logits [n c] / temperature)."""
    log_probabilities = torch.log_softmax(logits.double() / temperature, 1)
    return -log_probabilities.gather(1, labels[:, None]).mean().item()


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T > 0 that minimizes the mean NLL of classes int64 [n] under softmax(logits / T).

    The NLL is convex in b = 1 / T, with the derivative E[sum_c p_c z_c] - E[z_y] (Guo et al. 2017, section 4.2, for a single
    parameter), whose sign is bisected on a logarithmic scale. T is in [0.001, 1000]; it is 1 without images. Scaling by T
    changes no prediction.
    """
    if len(labels) == 0:
        return 1.0
    scores = logits.double()
    achieved = scores.gather(1, labels[:, None]).mean()
    low, high = -torch.tensor(_LARGEST, dtype=torch.float64).log(), torch.tensor(_LARGEST, dtype=torch.float64).log()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (torch.softmax(scores * middle.exp(), 1) * scores).sum(1).mean()
        low, high = (middle, high) if expected < achieved else (low, middle)
    return float((-(low + high) / 2).exp())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error of probabilities [n c] of classes int64 [n], in [0, 1] (Guo et al. 2017, eq. 3).

    Images are sorted into `bins` bins of equal width, open on the left, by their confidence, the largest probability. The error
    is sum_b n_b / n |accuracy_b - mean confidence_b|.
    """
    confidence, predicted = probabilities.double().max(1)
    hits = (predicted == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64, device=hits.device).index_add_(0, place, hits - confidence)
    return gaps.abs().sum().item() / len(labels)
