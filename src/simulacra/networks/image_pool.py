"""A pool of previously generated images for training discriminators (Shrivastava et al. 2016, section 2.3)."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Buffer of up to `size` generated images that returns a mix of new and earlier images (Zhu et al. 2017, section 7.1).

    A discriminator trained only on the newest images forgets earlier ones. While the pool is not full, each new image is stored
    and returned. After that, with probability 1/2, a new image is returned without being stored; otherwise it replaces a stored
    image, which is returned instead. Returned images are rounded to 256 levels, as real images are and as the pool stores them,
    so the discriminator cannot tell real from generated images by their precision.

    images: uint8 [size c h w]; count: int64 [], the number of stored images. Both are buffers, so checkpoints contain them and
    the EMA copies them. In evaluation mode the pool returns its input and stores nothing.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape, dtype=torch.uint8))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Return as many float32 images [b c h w] in [0, 1], without gradients; draws from torch's generator on their device."""
        levels = (images.detach().float() * 255).round().to(torch.uint8)
        if self.training and len(self.images):
            levels = self._exchange(levels)
        return levels.float() / 255

    def _exchange(self, levels: Tensor) -> Tensor:
        """Exchange images [b c h w] with the pool one by one; no value is copied to the host, so the device does not wait."""
        count = len(levels)
        swaps = torch.rand(count, device=levels.device) < 0.5
        places = torch.randint(len(self.images), (count,), device=levels.device)
        returned = []
        for image, swap, place in zip(levels.split(1), swaps.split(1), places.split(1), strict=True):
            filling = self.count < len(self.images)
            index = torch.where(filling, self.count, place)  # [1]
            stored = self.images[index]
            self.images[index] = torch.where(filling | swap, image, stored)
            returned.append(torch.where(swap & ~filling, stored, image))
            self.count += filling
        return torch.cat(returned)
