"""The answers of the numeric questions on CycleGAN, by the toolkit."""

import torch
from tests.quizzes.answers import check

from simulacra.core.randomness import reseed
from simulacra.families.cyclegan import CycleGANConfig
from simulacra.networks.image_pool import ImagePool
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES
from simulacra.objectives.cycle_consistency import generator_loss, l1_distance

LEAST_SQUARES = ADVERSARIAL_LOSSES["least-squares"]


def generators() -> float:
    images = torch.full((1, 1, 4, 4), 0.5)  # in [0, 1], where a difference of 0.05 is 0.1 in [-1, 1]
    cycle = l1_distance(images, images + 0.05)
    return float(2 * generator_loss(torch.full((9,), 0.5)) + CycleGANConfig().cycle * 2 * cycle)


def identity_of_a_negative() -> float:
    images = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    config = CycleGANConfig()
    return float(config.cycle * config.identity * 2 * l1_distance(1 - images, images))


def mean_age() -> float:
    """Return the mean age of images that a full pool returns instead of the new one; the number of a step is its image."""
    pool, ages = ImagePool(50, (1, 1, 3)), []
    reseed(0, "age")
    for step in range(6000):
        digits = torch.tensor([step // 65536, step // 256 % 256, step % 256])
        returned = (pool(digits.float().view(1, 1, 1, 3) / 255).view(3) * 255).round().int().tolist()
        age = step - (returned[0] * 65536 + returned[1] * 256 + returned[2])
        ages += [age] if age and step > 1000 else []
    return sum(ages) / len(ages)


ANSWERS = {
    "generators-loss": generators,
    "discriminator-loss": lambda: float(LEAST_SQUARES.discriminator(torch.full((9,), 0.8), torch.full((9,), 0.4), 0.0)),
    "identity-on-a-negative": identity_of_a_negative,
    "age-of-pooled-images": mean_age,
}


def test_answers_of_cyclegan() -> None:
    check("cyclegan", ANSWERS)
