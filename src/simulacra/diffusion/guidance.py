"""Classifier-free guidance (Ho & Salimans 2022)."""

from torch import Tensor


def classifier_free_guidance(conditional: Tensor, unconditional: Tensor, guidance_scale: float) -> Tensor:
    """Return unconditional + guidance_scale * (conditional - unconditional), for predictions of the image or of the noise.

    A scale of 1 gives the conditional prediction, 0 the unconditional one. The paper's w is guidance_scale - 1 (eq. 6).
    """
    return unconditional + guidance_scale * (conditional - unconditional)
