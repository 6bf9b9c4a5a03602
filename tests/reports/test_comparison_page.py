"""The comparison page: what it shows of the runs that are compared."""

import simulacra
from simulacra.core.progress import SILENT
from simulacra.evaluation.compare import compare_runs
from simulacra.evaluation.settings import evaluation_settings
from simulacra.reports import comparison_page


def test_samples_are_generated_by_the_sampling_plan_of_the_comparison(tmp_path, monkeypatch):
    for seed in (0, 1):
        out = tmp_path / str(seed)
        simulacra.train("diffusion", data="digits", out=out, duration="1", batch=8, features=(8, 8), seed=seed)
    plans = []

    def recorded(opened, count, plan=None):
        plans.append(plan)
        return opened.dataset.test.head(count).images

    monkeypatch.setattr(comparison_page, "sample", recorded)
    settings = evaluation_settings({"metrics": "known_density", "sampler": "ddim", "steps": 3})
    comparison_page.comparison_page(compare_runs([tmp_path / "0", tmp_path / "1"], settings, SILENT), SILENT)
    assert [(plan.sampler, plan.steps) for plan in plans] == [("ddim", 3)] * 2
