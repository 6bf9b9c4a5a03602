"""Gaussians on a ring and on a grid: the mode collapse of a GAN gives a warning, and regularized GANs reach every mode."""

from pathlib import Path
from typing import Any

import pytest
from tests.recording import Listener

import simulacra
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES, points_of
from simulacra.metrics.statistics.point_density import modes_covered
from simulacra.training.watch import run_status

RECIPES = Path(__file__).parents[2] / "recipes"
COLLAPSING: dict[str, Any] = {"beta1": 0.9, "r1": 0.0}  # Adam's default momentum, no gradient penalty


def modes(model):
    return modes_covered(points_of(model.sample(4000, seed=1)), KNOWN_DENSITIES[model.dataset.name]).value


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory, cache):
    """A GAN after a collapse, trained in two parts, and the messages of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out, first, second = tmp_path_factory.mktemp("collapsed") / "gan", Listener(), Listener()
        recipe = RECIPES / "gan-ring.toml"
        simulacra.train("gan", recipe=recipe, out=out, duration="500", progress=first, **COLLAPSING)
        return simulacra.resume(out, duration="800", progress=second), first.said, second.said


@pytest.mark.long
def test_the_collapse_of_a_gan_gives_a_warning_during_training(collapsed):
    model, said, _ = collapsed
    assert modes(model) < 4
    (warning,) = (line for line in said if "mode collapse" in line)
    assert warning.startswith("warning: mode collapse since step ")
    assert "--beta1 0.5, --r1 0.1" in warning


@pytest.mark.long
def test_a_collapse_before_an_interruption_gives_a_warning_after_the_resume(collapsed):
    _, _, said = collapsed
    (warning,) = (line for line in said if "mode collapse" in line)
    since = int(warning.split("step ")[1].split(":")[0].split(" ")[0].replace(",", ""))
    assert since <= 500


@pytest.mark.long
def test_watch_and_the_report_have_the_warnings_of_the_training(collapsed):
    model, *_ = collapsed
    now = run_status(model.run)
    assert "mode collapse" in [warning.name for warning in now.training_warnings]
    assert set(now.diversity) == {"diversity", "distinctness"}
    page = model.report().read_text()
    for warning in now.training_warnings:
        assert warning.message in page
    assert "<h3>modes reached</h3>" in page


def trained(family, recipe, out):
    """Return a model trained by a recipe, and the warnings of the training."""
    listener = Listener()
    model = simulacra.train(family, recipe=RECIPES / f"{recipe}.toml", out=out, progress=listener)
    return model, [line for line in listener.said if "warning" in line]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "recipe"), [("gan", "gan-ring"), ("wgan_gp", "wgan-gp-ring")])
def test_a_regularized_gan_reaches_every_mode_of_the_ring_and_gives_no_warning(family, recipe, tmp_path):
    model, warnings = trained(family, recipe, tmp_path / "run")
    assert (modes(model), warnings) == (8, [])


@pytest.mark.slow
def test_a_regularized_gan_reaches_every_mode_of_the_grid_and_gives_no_warning(tmp_path):
    model, warnings = trained("wgan_gp", "wgan-gp-grid", tmp_path / "run")
    assert (modes(model), warnings) == (25, [])
