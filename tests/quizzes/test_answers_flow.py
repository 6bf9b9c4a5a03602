"""The answers of the numeric questions on flow matching, by the toolkit or in closed form."""

import math

import torch
from tests.quizzes.answers import check

from simulacra.core.batch import DataSpec
from simulacra.diffusion.noise_levels import add_noise, straight_path
from simulacra.diffusion.parameterizations import image_from_output, training_target, velocity
from simulacra.families.flow import Flow, FlowConfig


def line_velocity() -> float:
    image, noise, level = torch.tensor([-0.5]), torch.tensor([1.0]), straight_path(torch.tensor(0.25))
    return float(training_target(image, add_noise(image, noise, level), level, velocity))


def implied_image() -> float:
    return float(image_from_output(torch.tensor([1.0]), torch.tensor([0.2]), straight_path(torch.tensor(0.5)), velocity))


def pixel_velocity(z: float, time: float) -> float:
    """Return the mean velocity for a pixel of -1 or 1, by Bayes' rule."""
    weights = [math.exp(-0.5 * ((z - (1 - time) * x) / time) ** 2) for x in (-1, 1)]
    return (z - (weights[1] - weights[0]) / sum(weights)) / time


def default_evaluations() -> float:
    family = Flow(FlowConfig(features=(8,)), DataSpec(1, 8, 8))
    return family.evaluations(family.plan)


ANSWERS = {
    "velocity-of-a-line": line_velocity,
    "image-from-velocity": implied_image,
    "velocity-at-the-symmetric-point": lambda: pixel_velocity(0.0, 0.3),
    "optimal-velocity-of-a-pixel": lambda: pixel_velocity(0.5, 0.5),
    "heun-evaluations": default_evaluations,
}


def test_answers_of_flow() -> None:
    check("flow", ANSWERS)
