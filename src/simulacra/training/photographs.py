"""Which images are photographs, by the levels of their pixels.

In a photograph noise and shading spread the pixels over many levels. In text, digits and drawings much of the image, such as the
background, has one level, or the pixels are black or white.
"""

import numpy as np

from simulacra.data.source import Pixels

_EVEN = 0.2  # largest share of pixels at the most frequent level of a channel, in the median photograph
_NEAR = 16  # levels from 0 or 255 that count as black or white
_EXTREME = 0.75  # least share of such pixels in images that are black and white
_LEAST_COLOUR = 1.0  # mean absolute difference of channels, in levels, from which images are in colour
SAMPLE = 256  # images examined, the first ones


def are_photographs(images: Pixels) -> bool:
    """Return whether images uint8 [n h w c] are photographs in colour, by the first 256 of them.

    Black and white photographs, drawings, digits and text are not.
    """
    sample = images[:SAMPLE]
    if not len(sample) or sample.shape[3] < 3 or are_black_and_white(images):
        return False
    spread = np.abs(sample[..., 0].astype(np.int16) - sample[..., 1]).mean()
    return bool(spread >= _LEAST_COLOUR and np.median([_most_frequent(image) for image in sample]) <= _EVEN)


def are_black_and_white(images: Pixels) -> bool:
    """Return whether at least three quarters of the pixels of images uint8 [n h w c] are nearly black or white."""
    sample = images[:SAMPLE]
    return bool(len(sample)) and float(((sample < _NEAR) | (sample > 255 - _NEAR)).mean()) >= _EXTREME


def _most_frequent(image: Pixels) -> float:
    """Return the share of pixels at the most frequent level, in the channel where it is largest."""
    counts = (np.bincount(channel.ravel(), minlength=256).max() for channel in np.moveaxis(image, 2, 0))
    return float(max(counts)) / (image.shape[0] * image.shape[1])
