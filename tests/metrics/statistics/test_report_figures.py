"""Images of report sections: those that the evaluation generated."""

import torch

import simulacra
from simulacra.core.progress import SILENT
from simulacra.evaluation.settings import evaluation_settings
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import MetricResults
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.metrics.statistics.report_figures import generated_images
from simulacra.runs.opened import open_run


def test_images_are_generated_by_the_sampling_plan_of_the_evaluation(tmp_path):
    simulacra.train("diffusion", data="digits", duration="1", batch=8, features=(8, 8), out=tmp_path / "run")
    opened = open_run(tmp_path / "run")
    settings = evaluation_settings({"samples": 5, "steps": 2, "sampler": "ddim", "seed": 3, "precision": "float32"})
    context = EvaluationContext(opened, settings, SILENT)
    results = MetricResults({"number": Measurement(1.0, None, 5, dict(context.sampling_protocol))}, {}, {"seed": 3})
    evaluated = torch.cat(list(context.images()))
    assert (generated_images(opened, results, [4, 1]) - evaluated[[4, 1]]).abs().max() <= 0.51 / 255
