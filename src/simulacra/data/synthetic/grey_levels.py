"""Conversion of images to grey levels."""

import numpy as np

from simulacra.data.formats.refused import Refused
from simulacra.data.source import Pixels

_REC_601 = (19595, 38470, 7471)  # 65536 x (0.299, 0.587, 0.114)


def grey_levels(images: Pixels) -> Pixels:
    """Return the grey levels uint8 [n h w] of images [n h w c] with 1 or 3 channels, in the arithmetic of Pillow (Rec. 601).

    Raises Refused for other than 1 or 3 channels.
    """
    channels = images.shape[-1]
    if channels == 1:
        return images[..., 0]
    if channels != 3:
        raise Refused(f"{channels} channels have no grey level")
    weighted = images.astype(np.uint32) @ np.array(_REC_601, np.uint32)
    return ((weighted + 2**15) >> 16).astype(np.uint8)
