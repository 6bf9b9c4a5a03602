"""Chapter 7: information that a CycleGAN hides in its translations: the cycle error by the noise added to the translation."""

import torch
from chart import Axis, lines
from measures import held_out, save_grid
from torch import Tensor
from trained import trained

LEVELS = (0.25, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)  # standard deviations of the noise, in levels of 255

settings = {"data": "", "a": "digits", "b": "digits-hues", "preset": "small", "batch": 4, "duration": "1500"}
settings.pop("data")
model = trained("cyclegan-hues", "cyclegan", **settings)
real = held_out("digits-hues", 297)
grey = model.translate(real, to="a")
random = torch.Generator().manual_seed(0)


def hue(images: Tensor) -> Tensor:
    """Return the colour of images [n 3 h w]: the sums of the channels over the pixels, of length 1 [n 3]."""
    return torch.nn.functional.normalize(images.sum((2, 3)), dim=1)


def returned(noise: float) -> tuple[Tensor, float, float]:
    """Return cycle reconstructions of noisy translations, their mean squared error and the mean angle of their hue in degrees."""
    noisy = (grey + noise / 255 * torch.randn(grey.shape, generator=random)).clamp(0, 1)
    back = model.translate(noisy, to="b")
    angle = torch.rad2deg(torch.acos((hue(back) * hue(real)).sum(1).clamp(-1, 1)))
    return back, (back - real).square().mean().item(), angle.mean().item()


def main() -> None:
    """Print and draw the errors, and save a grid: originals, translations, cycle reconstructions, the same after noise."""
    clean, error, angle = returned(0.0)
    print(f"no noise: cycle MSE {error:.5f}, hue differs by {angle:.1f} degrees")
    pairs = []
    for level in LEVELS:
        _, error, angle = returned(level)
        pairs.append((level, angle))
        print(f"noise of {level:g} levels: cycle MSE {error:.5f}, hue differs by {angle:.1f} degrees")
    shuffled = torch.rad2deg(torch.acos((hue(real) * hue(real.roll(1, 0))).sum(1).clamp(-1, 1))).mean().item()
    print(f"two different test images: {shuffled:.1f} degrees")
    x = Axis("standard deviation of the noise, grey levels of 255 (logarithmic)", 0.25, 40, LEVELS, log=True)
    y = Axis("difference of the hue, degrees", 0, 70, (0, 20, 40, 60))
    series = {"after noise": pairs, "two other images": [(0.25, shuffled), (40, shuffled)]}
    lines("course-hidden-information", "Hue after the translation to grey and back, 297 test digits", series, x, y)
    rows = [real[:12], grey[:12].expand(-1, 3, -1, -1), clean[:12], returned(20.0)[0][:12]]
    save_grid("course-hidden-information", rows)


main()
