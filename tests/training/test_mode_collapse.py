"""Gaussians on a ring and on a grid: a plain GAN's collapse is seen while it trains, and stabilized games reach every mode."""

from pathlib import Path
from typing import Any

import pytest
from tests.recording import Listener

import simulacra
from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES, points_of
from simulacra.metrics.known_density import modes_covered
from simulacra.training.watch import run_status

RECIPES = Path(__file__).parents[2] / "recipes"
COLLAPSING: dict[str, Any] = {"beta1": 0.9, "r1": 0.0}  # Adam's usual momentum, and nothing that holds the discriminator


def modes(model):
    return modes_covered(points_of(model.sample(4000, seed=1)), KNOWN_DENSITIES[model.dataset.name]).value


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory, cache):
    """A plain GAN after a collapse, trained in two parts; and what was said in either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out, first, second = tmp_path_factory.mktemp("collapsed") / "gan", Listener(), Listener()
        recipe = RECIPES / "gan-ring.toml"
        simulacra.train("gan", recipe=recipe, out=out, duration="500", progress=first, **COLLAPSING)
        return simulacra.resume(out, duration="800", progress=second), first.said, second.said


def test_the_collapse_of_a_plain_gan_is_told_while_it_trains(collapsed):
    model, said, _ = collapsed
    assert modes(model) < 4
    (warning,) = (line for line in said if "mode collapse" in line)
    assert warning.startswith("warning: mode collapse since step ")
    assert "--beta1 0.5, --r1 0.1" in warning


def test_a_collapse_from_before_an_interruption_is_told_by_who_goes_on(collapsed):
    _, _, said = collapsed
    (warning,) = (line for line in said if "mode collapse" in line)
    since = int(warning.split("step ")[1].split(":")[0].split(" ")[0].replace(",", ""))
    assert since <= 500


def test_watch_and_the_report_tell_what_the_training_told(collapsed):
    model, *_ = collapsed
    now = run_status(model.run)
    assert "mode collapse" in [trouble.name for trouble in now.training_warnings]
    assert set(now.varied) == {"diversity", "distinctness"}
    page = model.report().read_text()
    for trouble in now.training_warnings:
        assert f"While it trained: {trouble.message}." in page
    assert "<h3>modes reached</h3>" in page


def stabilized(family, recipe, out):
    """Return a game trained by a recipe, and the warnings that were said."""
    heard = Listener()
    model = simulacra.train(family, recipe=RECIPES / f"{recipe}.toml", out=out, progress=heard)
    return model, [line for line in heard.said if "warning" in line]


@pytest.mark.parametrize(("family", "recipe"), [("gan", "gan-ring"), ("wgan_gp", "wgan-gp-ring")])
def test_a_stabilized_game_reaches_every_mode_of_the_ring_and_gives_no_warning(family, recipe, tmp_path):
    model, warnings = stabilized(family, recipe, tmp_path / "run")
    assert (modes(model), warnings) == (8, [])


@pytest.mark.slow
def test_a_stabilized_game_reaches_every_mode_of_the_grid_and_gives_no_warning(tmp_path):
    model, warnings = stabilized("wgan_gp", "wgan-gp-grid", tmp_path / "run")
    assert (modes(model), warnings) == (25, [])
