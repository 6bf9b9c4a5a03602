"""A pool of generated images, from which a critic is shown earlier ones, too (Shrivastava et al. 2016, section 2.3)."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """The last word of up to `size` generated images: a critic that sees only the newest forgets what it knew of others.

    An image that comes while the pool is not full is kept and shown. From then on, with probability 1/2, an image is shown itself
    and not kept, or takes the place of a kept one, which is shown instead (as Zhu et al. 2017, section 7.1, with 50 images).
    What is shown has 256 levels, as real images have and as the pool keeps them: no critic can tell by the levels.

    images: uint8 [size c h w]; count: how many of them are there. Both are buffers, so that checkpoints hold them and averages of
    weights copy them. Whom evaluation shows images, the pool keeps out of it.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape, dtype=torch.uint8))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Return as many images [b c h w] in [0, 1] to show as were given, without a graph; draws from torch's generator."""
        levels = (images.detach().float() * 255).round().to(torch.uint8)
        if self.training and len(self.images):
            levels = self._exchanged(levels)
        return levels.float() / 255

    def _exchanged(self, levels: Tensor) -> Tensor:
        """Exchange images one after the other; no number leaves the device, so that none is waited for."""
        count = len(levels)
        swaps = torch.rand(count, device=levels.device) < 0.5
        places = torch.randint(len(self.images), (count,), device=levels.device)
        shown = []
        for image, swap, place in zip(levels.split(1), swaps.split(1), places.split(1), strict=True):
            filling = self.count < len(self.images)
            at = torch.where(filling, self.count, place)  # [1]
            kept = self.images[at]
            self.images[at] = torch.where(filling | swap, image, kept)
            shown.append(torch.where(swap & ~filling, kept, image))
            self.count += filling
        return torch.cat(shown)
