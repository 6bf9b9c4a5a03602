"""Losses of translation between unpaired domains, on the scale of the paper's pixels, [-1, 1]."""

from torch import Tensor


def translator_loss(fake: Tensor) -> Tensor:
    """Return (fake - 1)^2, a mean over logits of any shape: whole, where the critics' loss is halved (Zhu et al. 2017, 7.1)."""
    return ((fake - 1) ** 2).mean()


def absolute_difference(images: Tensor, others: Tensor) -> Tensor:
    """Return |images - others|, a mean over pixels of images [b c h w] in [0, 1], on the scale of [-1, 1], which doubles it.

    That of images and what returns of them is the cycle loss (Zhu et al. 2017, eq. 2); that of images and their translation into
    the domain that they are of, the identity loss (section 5.2).
    """
    total = (
        (images - others).abs().sum()
    )  # the gradient of a mean would come in the default memory layout (kernels/memory_layout.py)
    return 2 * (total / images.numel())
