"""Interpolations between images and between noise, of models with and without a latent space."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import simulacra
from simulacra.applications.interpolate import InterpolateConfig, interpolations
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.interfaces.cli import main


@pytest.fixture(scope="module")
def gans(tmp_path_factory, cache):
    """Two barely trained GANs, without and with classes; do not change their folders."""
    quick: dict[str, Any] = {"duration": "5", "batch": 32, "threads": 1, "snapshots": 1, "hidden": (16,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        return [
            simulacra.train("gan", data="digits", conditional=on, out=tmp_path_factory.mktemp("gans") / str(on), **quick)
            for on in (False, True)
        ]


def test_rows_go_from_even_to_odd_samples_of_the_seed(gans, trained_vae):
    for model in (gans[0], trained_vae):
        samples = model.sample(6, seed=3)
        made = model.interpolate_noise(3, 5, 3)
        assert made.shape == (3, 5, 1, 8, 8)
        torch.testing.assert_close(made[:, 0], samples[::2])
        torch.testing.assert_close(made[:, -1], samples[1::2])
        torch.testing.assert_close(model.interpolate_noise(1, 5, 3), made[:1])
        assert not torch.equal(made[:, 2], model.interpolate_noise(3, 5, 3, "linear")[:, 2])


def test_a_row_of_a_conditional_model_shows_one_class(gans):
    model = gans[1]
    made = model.interpolate_noise(2, 5, label="7")
    samples = model.sample(4, label="7")
    torch.testing.assert_close(made[:, 0], samples[::2])
    torch.testing.assert_close(made[:, -1], samples[1::2])
    in_turn = model.interpolate_noise(12, 3)
    for row in (1, 11):
        torch.testing.assert_close(in_turn[row], model.interpolate_noise(12, 3, label="1")[row])


def test_models_with_a_latent_space_interpolate_between_test_images_by_default(gans, trained_vae, trained_autoencoder):
    assert [
        interpolations(model, InterpolateConfig(rows=2, steps=3))[1] for model in (trained_vae, trained_autoencoder, *gans)
    ] == [*("images", "images", "noise", "noise")]
    images, between = interpolations(trained_vae, InterpolateConfig(rows=2, steps=3, between="noise"))
    assert between == "noise"
    assert torch.equal(images, trained_vae.interpolate_noise(2, 3))


@pytest.mark.parametrize(
    ("settings", "names"),
    [({"between": "images"}, ("GAN", "--between noise")), ({"label": "7"}, ("GAN", "labels"))],
)
def test_what_does_not_apply_to_a_gan_is_refused(gans, settings, names):
    with pytest.raises(NotApplicable) as caught:
        interpolations(gans[0], InterpolateConfig(**settings))
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("settings", "kind", "name"),
    [({"between": "noise"}, NotApplicable, "Autoencoder"), ({"rows": 200}, UsageError, "148")],
)
def test_what_does_not_apply_to_an_autoencoder_is_refused(trained_autoencoder, settings, kind, name):
    with pytest.raises(kind, match=name):
        interpolations(trained_autoencoder, InterpolateConfig(**settings))


def test_numbers_out_of_range_are_refused():
    wrong: tuple[dict[str, Any], ...] = ({"steps": 1}, {"rows": -1})
    for settings in wrong:
        with pytest.raises(UsageError):
            InterpolateConfig(**settings)


def test_the_default_number_of_pairs_is_smaller_where_there_are_few_images(trained_vae, monkeypatch):
    few = trained_vae.dataset.test[np.arange(5)]
    monkeypatch.setattr(trained_vae, "dataset", replace(trained_vae.dataset, test=few))
    assert len(interpolations(trained_vae, InterpolateConfig(steps=3))[0]) == 2


def test_a_label_is_given_on_the_command_line(gans, capsys):
    words = ["interpolate", str(gans[1].run.path), "--rows", "2", "--label", "7", "--out", "ways.png", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["between"], shown["label"], shown["rows"]) == ("noise", "7", 2)
    assert main([*words[:2], "--label", "seven"]) == 2
    assert "'seven'" in capsys.readouterr().err


def test_a_conditional_latent_space_encodes_and_decodes_with_labels(trained_vae, monkeypatch):
    kind, given = type(trained_vae.model), []
    for name in ("encode", "decode"):
        original = getattr(kind, name)

        def record(self, values, condition, of=original):
            given.append(condition.labels)
            return of(self, values)

        monkeypatch.setattr(kind, name, record)
    monkeypatch.setattr(kind, "label_sizes", (10,))
    for label in ("", "7"):
        given.clear()
        interpolations(trained_vae, InterpolateConfig(rows=2, steps=3, between="images", label=label))
        starts, ends, decoded = (labels.tolist() for labels in given)
        assert starts != ends
        assert decoded == ([7] * 6 if label else [starts[0]] * 3 + [starts[1]] * 3)
