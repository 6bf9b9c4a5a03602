"""Ways between images that are made of noise, of models with and without an encoder."""

import json
from typing import Any

import pytest
import torch

import simulacra
from simulacra.applications.galleries import Ways, interpolations
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


def test_models_that_encode_go_between_test_images_unless_asked_otherwise(gans, trained_vae, trained_autoencoder):
    assert [interpolations(model, Ways(2, 3))[1] for model in (trained_vae, trained_autoencoder, *gans)] == [
        *("images", "images", "noise", "noise")
    ]
    images, between = interpolations(trained_vae, Ways(2, 3, between="noise"))
    assert between == "noise"
    assert torch.equal(images, trained_vae.interpolate_noise(2, 3).flatten(0, 1))


@pytest.mark.parametrize(
    ("ways", "kind", "message"),
    [
        (Ways(between="images"), NotApplicable, "not applicable to GAN: it needs a latent space. Use --between noise"),
        (Ways(label="7"), NotApplicable, "a label is not applicable to this GAN"),
        (Ways(steps=1), UsageError, "steps is 1, expected at least 2: the two ends"),
        (Ways(rows=0), UsageError, "rows is 0, expected at least 1"),
    ],
)
def test_what_a_gan_cannot_do_is_refused_with_the_remedy(gans, ways, kind, message):
    with pytest.raises(kind) as caught:
        interpolations(gans[0], ways)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("ways", "kind", "message"),
    [
        (Ways(between="noise"), NotApplicable, "not applicable to Autoencoder: it needs sampling"),
        (Ways(label="7"), UsageError, "--label 7 is for ways between noise"),
        (Ways(rows=200), UsageError, "rows is 200, expected between 1 and 148, half of the images in the test set"),
    ],
)
def test_what_an_autoencoder_cannot_do_is_refused_with_the_remedy(trained_autoencoder, ways, kind, message):
    with pytest.raises(kind) as caught:
        interpolations(trained_autoencoder, ways)
    assert message in str(caught.value)


def test_a_class_is_asked_for_on_the_command_line(gans, capsys):
    words = ["interpolate", str(gans[1].run.path), "--rows", "2", "--label", "7", "--out", "ways.png", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["between"], shown["label"], shown["rows"]) == ("noise", "7", 2)
    assert main([*words[:2], "--label", "seven"]) == 2
    assert "unknown class 'seven'" in capsys.readouterr().err
