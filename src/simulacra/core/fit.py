"""How images of another aspect ratio are fitted to a shape."""

from typing import Literal

Fit = Literal["crop", "pad", "squash"]
"""The ends are cropped, black borders are added, or the image is distorted."""
