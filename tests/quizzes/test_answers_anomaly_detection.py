"""The numbers of the questions on anomaly detection, computed."""

import torch
from tests.quizzes.answers import check

from simulacra.anomaly.calibration import Calibration, images_needed

ANSWERS = {
    "rank-of-the-threshold": lambda: Calibration(torch.arange(199.0), 0.01).rank,
    "smallest-p-value": lambda: 100 * float(Calibration(torch.arange(60.0), 0.05).p_values(torch.tensor([100.0]))),
    "images-for-one-percent": lambda: images_needed(0.005),
    "false-alarms-per-defect": lambda: 0.01 * (10_000 - 1),
}


def test_the_answers_are_computed():
    check("anomaly-detection", ANSWERS)
