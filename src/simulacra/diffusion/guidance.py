"""Classifier-free guidance: classes, more decidedly (Ho & Salimans 2022)."""

from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Return unconditional + guidance * (conditional - unconditional), of estimates of the image, or equally of the noise.

    guidance 1 is the conditional estimate and 0 the other one; theirs is w = guidance - 1 (Ho & Salimans 2022, eq. 6).
    """
    return unconditional + guidance * (conditional - unconditional)
