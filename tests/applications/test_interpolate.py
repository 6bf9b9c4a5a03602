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
from simulacra.runs.latent_paths.class_latents import class_latent
from simulacra.runs.latent_paths.paths import spherical


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


# --- between classes


@pytest.fixture
def linear_model(trained_autoencoder, monkeypatch):
    """An autoencoder of four latents whose encoder and decoder are the two sides of an orthogonal projection."""
    kind = type(trained_autoencoder.model)
    axes = torch.linalg.qr(torch.randn(64, 4, generator=torch.Generator().manual_seed(0))).Q
    monkeypatch.setattr(kind, "encode", lambda self, images, condition: images.flatten(1) @ axes)
    monkeypatch.setattr(kind, "decode", lambda self, latents, condition: (latents @ axes.T).unflatten(1, (1, 8, 8)))
    return trained_autoencoder, axes @ axes.T


def class_mean(model, name):
    train = model.dataset.train
    return train.batch(np.flatnonzero(train.labels == int(name))[:1000]).images.mean(0)


def test_the_path_between_classes_joins_their_mean_latents(linear_model):
    model, projection = linear_model
    rows = model.interpolate_classes("4", "9", 5)
    assert rows.shape == (1, 5, 1, 8, 8)
    first, last = ((class_mean(model, name).flatten() @ projection).unflatten(0, (1, 8, 8)) for name in "49")
    for step, image in enumerate(rows[0]):
        torch.testing.assert_close(image, torch.lerp(first, last, step / 4), atol=1e-5, rtol=1e-4)


def test_single_images_are_moved_by_the_difference_of_the_means(linear_model):
    model, projection = linear_model
    images = model.dataset.test.head(3).images
    rows = model.interpolate_classes("4", "9", 3, images=images)
    difference = class_mean(model, "9") - class_mean(model, "4")
    for row, image in zip(rows[1:], images, strict=True):
        for share, moved in zip((0, 0.5, 1), row, strict=True):
            expected = ((image + share * difference).flatten() @ projection).unflatten(0, (1, 8, 8))
            torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)


def test_the_path_of_a_model_with_a_normal_prior_is_an_arc(trained_vae):
    first, last = (class_latent(trained_vae, name).mean[None] for name in "49")
    arc, middle = spherical(first, last, 5)[2], (first + last) / 2
    assert not torch.allclose(arc, middle, atol=1e-4)
    torch.testing.assert_close(trained_vae.interpolate_classes("4", "9", 5)[0, 2], trained_vae.decode(arc)[0])
    torch.testing.assert_close(trained_vae.interpolate_classes("4", "9", 5, "linear")[0, 2], trained_vae.decode(middle)[0])


def test_classes_are_given_on_the_command_line(trained_vae, capsys):
    words = ["interpolate", str(trained_vae.run.path), "--from-class", "4", "--to-class", "9", "--out", "ways.png"]
    assert main([*words, "--rows", "3", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["between"], content["rows"]) == ("classes 4 and 9", 3)
    found = class_latent(trained_vae, "9")
    assert content["to_norm"] == pytest.approx(found.norm)
    assert 0 < content["to_norm"] < content["to_image_norm"] == pytest.approx(found.image_norm)
    assert main(words) == 0
    assert "norms of the mean latents" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from-class", "4"], "--to-class is missing"),
        (["--from-class", "4", "--to-class", "ten"], "unknown class 'ten'"),
        (["--from-class", "4", "--to-class", "9", "--between", "noise"], "--between noise does not apply"),
        (["--from-class", "4", "--to-class", "9", "--rows", "500"], "expected at most"),
    ],
)
def test_wrong_classes_are_refused_in_words(words, message, trained_vae, capsys):
    assert main(["interpolate", str(trained_vae.run.path), *words]) == 2
    assert message in capsys.readouterr().err


def test_arithmetic_between_classes_needs_latents_that_are_not_given_the_class(gans, trained_vae, monkeypatch):
    with pytest.raises(NotApplicable, match="encoder"):
        gans[0].interpolate_classes("4", "9")
    monkeypatch.setattr(type(trained_vae.model), "label_sizes", (10,))
    with pytest.raises(NotApplicable, match="given labels"):
        trained_vae.interpolate_classes("4", "9")
