"""Linear probes: multinomial logistic regressions on standardized features, fitted by scikit-learn."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

STRENGTH = 1.0  # scikit-learn's C: one over the weight of |w|^2 / 2 beside the summed losses
ITERATIONS = 2000
TOLERANCE = 1e-8  # of the derivatives of the mean loss
_ABSENT = -50.0  # logit of a class without training images


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of standardized features; all tensors are float64.

    mean, scale: [d] of the training features; weight: [c d]; bias: [c].
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Return logits float64 [n c] of features [n d]; their softmax is the regression's probability of each class."""
        return (features - self.mean) / self.scale @ self.weight.T + self.bias


def fit_linear_probe(features: Tensor, labels: Tensor, count: int, *, iterations: int = ITERATIONS) -> tuple[LinearProbe, bool]:
    """Return the probe of features [n d] with classes int64 [n] in 0..count-1, at least two of them, and whether it converged.

    Features are standardized by their mean and standard deviation (constant ones are centred only). The regression has an L2
    penalty with C = 1 and is fitted by L-BFGS, which draws no random numbers, until no derivative of the mean loss exceeds
    1e-8, or the loss no longer decreases in float64. A class that no image has keeps a logit of -50.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features.double().mean(0), features.double().std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1)
    inputs = ((features - mean) / scale).cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression = LogisticRegression(C=STRENGTH, max_iter=iterations, tol=TOLERANCE).fit(inputs, labels.cpu().numpy())
    slopes, offsets = torch.from_numpy(regression.coef_), torch.from_numpy(regression.intercept_)
    if len(slopes) == 1:  # of two classes only the log odds of the second are fitted
        slopes, offsets = torch.cat([torch.zeros_like(slopes), slopes]), torch.cat([torch.zeros_like(offsets), offsets])
    present = torch.from_numpy(regression.classes_)
    weight, bias = slopes.new_zeros(count, slopes.shape[1]), slopes.new_full((count,), _ABSENT)
    weight[present], bias[present] = slopes, offsets
    probe = LinearProbe(mean, scale, weight.to(mean.device), bias.to(mean.device))
    return probe, bool(regression.n_iter_.max() < iterations)
