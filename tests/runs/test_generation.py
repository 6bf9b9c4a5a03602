"""Iterative samplers from the command line: plans, restoration, interpolation, evaluation."""

import json

import numpy as np
import pytest
import torch

import simulacra
from simulacra.interfaces.cli import main
from simulacra.runs.generation import change_plan

TINY = ["--for", "3", "--batch", "16", "--threads", "1", "--snapshots", "1", "--features", "8,8", "--sampling-steps", "3"]


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A conditional diffusion model of the scanned digits of a few training steps; do not change its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(tmp_path_factory.mktemp("cache")))
        out = tmp_path_factory.mktemp("runs") / "refining"
        words = ["train", "diffusion", "--data", "digits", "--limit", "200", "--conditional", *TINY, "--out", str(out)]
        assert main(words) == 0
    return out


def test_sampler_steps_guidance_and_label_are_chosen_when_sampling(capsys, trained):
    words = ["sample", trained, "--count", "3", "--json"]
    images = {}
    choices = {
        "own": [],
        "ddim": ["--sampler", "ddim"],
        "steps": ["--steps", "2"],
        "guided": ["--guidance-scale", "3", "--label", "3"],
    }
    for name, chosen in choices.items():
        code, out, err = run(capsys, *words, *chosen, "--out", f"{name}.npz")
        assert code == 0, err
        images[name] = np.load(f"{name}.npz", allow_pickle=False)["images"]
        assert "image-steps" in err
        assert "images" in err
    assert {"sampler": "dpmpp-2m", "steps": 3, "guidance_scale": 3.0}.items() <= json.loads(out).items()
    out = run(capsys, *words, "--precision", "float32", "--out", "exact.npz")[1]
    assert json.loads(out)["arithmetic"] == "float32"
    assert len({picture.tobytes() for picture in images.values()}) == 4


@pytest.mark.parametrize(("precision", "rtol", "atol"), [("float32", 1e-4, 1e-4), ("bfloat16", 0, 1 / 255)])
def test_an_image_of_a_seed_is_the_same_whatever_the_count(trained, precision, rtol, atol):
    model = simulacra.open(trained)
    for sampler in ("heun", "ancestral"):
        plan = model.plan(sampler=sampler, steps=2, precision=precision)
        many, few = model.sample(70, seed=3, plan=plan), model.sample(3, seed=3, plan=plan)
        torch.testing.assert_close(many[:3], few, rtol=rtol, atol=atol)


def test_an_unknown_plan_is_refused(capsys, trained, trained_vae):
    code, _, err = run(capsys, "sample", trained, "--sampler", "hein")
    assert code == 2
    assert "'heun'" in err
    code, _, err = run(capsys, "sample", trained_vae.run.path, "--steps", "5")
    assert code == 2
    assert "--steps" in err
    assert "VAE" in err


@pytest.mark.long
def test_interpolations_between_test_images_pass_through_the_latent_space(capsys, trained):
    code, out, err = run(capsys, "interpolate", trained, "--rows", "2", "--steps", "3", "--json")
    assert code == 0, err
    assert json.loads(out)["between"] == "images"
    model = simulacra.open(trained)
    ends = model.dataset.test.head(4).images
    ways = model.interpolate(ends[:2], ends[2:], steps=3)
    torch.testing.assert_close(ways[:, 0], ends[:2], rtol=0, atol=0.02)
    torch.testing.assert_close(ways[:, -1], ends[2:], rtol=0, atol=0.02)


@pytest.mark.long
def test_metrics_state_the_sampling_plan_and_the_kind_of_likelihood(capsys, trained):
    words = ["evaluate", trained, "--samples", "0", "--flow-images", "3", "--json"]
    code, out, err = run(capsys, *words)
    assert code == 0, err
    result = json.loads(out)
    bits, flow = (result["metrics"][name] for name in ("bits_per_dim", "flow_bits_per_dim"))
    assert bits["protocol"]["bound"] == "variational, 1000 levels"
    assert bits["n"] == result["data"]["n"]
    assert (flow["n"], flow["protocol"]["dequantization"], flow["protocol"]["probes"]) == (3, "uniform", 1)
    assert len(result["artifacts"]["diffusion_bound"]["steps"]) == 20
    code, out, err = run(capsys, "report", trained, "--json")
    assert code == 0, err
    page = (trained / "report.html").read_text()
    assert "reverse process" in page
    assert 'id="terms-of-the-diffusion-bound"' in page
    assert page.count('id="interpolations"') == 1


def test_another_sampler_resets_eta():
    from simulacra.core.capabilities import SamplingPlan

    plan = SamplingPlan("ddim", 10, 1.0, eta=0.5)
    assert change_plan(plan, steps=5) == SamplingPlan("ddim", 5, 1.0, eta=0.5)
    assert change_plan(plan, sampler="heun", guidance_scale=2.0) == SamplingPlan("heun", 10, 2.0)
