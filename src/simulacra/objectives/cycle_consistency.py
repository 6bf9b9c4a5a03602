"""Losses of CycleGAN (Zhu et al. 2017)."""

from torch import Tensor


def generator_loss(fake: Tensor) -> Tensor:
    """Return (fake - 1)^2, a mean over logits of any shape; unlike the discriminator's loss not halved (Zhu et al. 2017, 7.1)."""
    return ((fake - 1) ** 2).mean()


def l1_distance(images: Tensor, others: Tensor) -> Tensor:
    """Return the mean absolute difference over all pixels of images [b c h w] in [0, 1], on the paper's scale of [-1, 1].

    Between images and their reconstructions it is the cycle-consistency loss (Zhu et al. 2017, eq. 2), between images and their
    translations into their own domain the identity loss (section 5.2).
    """
    # sum / numel: the gradient of mean() would have the default memory layout (networks/kernels/memory_layout.py)
    total = (images - others).abs().sum()
    return 2 * (total / images.numel())
