"""Scores are deterministic, independent of the other images, and equal to their definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import simulacra
from simulacra import families
from simulacra.anomaly.neighbours import LocalOutliers
from simulacra.anomaly.scores import BASELINES, DEFAULTS, LOCAL_BASELINE, default, find, scores
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.progress import SILENT

TINY: dict[str, Any] = {"data": "digits", "duration": "2", "batch": 16, "threads": 1, "snapshots": 1}


@pytest.fixture(scope="module")
def runs(trained_vae, trained_autoencoder, tmp_path_factory, cache):
    """One run of each kind of model that a score needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        out = tmp_path_factory.mktemp("detectors")
        gan = simulacra.train("gan", hidden=(8,), out=out / "gan", **TINY)
        packed = simulacra.train("gan", hidden=(8,), pack=2, out=out / "packed", **TINY)
        diffusion = simulacra.train("diffusion", features=(8,), group=4, attention=(), out=out / "diffusion", **TINY)
        restorer = simulacra.train("restorer", features=(8,), hidden=(16,), latent_dim=4, blocks=0, out=out / "restorer", **TINY)
        cvae = simulacra.train("cvae", features=(8,), hidden=(16,), latent_dim=4, out=out / "cvae", **TINY)
    adversarial = {"gan": gan, "packed": packed}
    conditional = {"restorer": restorer, "cvae": cvae}
    return {"vae": trained_vae, "autoencoder": trained_autoencoder, "diffusion": diffusion, **adversarial, **conditional}


CASES = [
    *(("autoencoder", name) for name in ("reconstruction", "features", "neighbours", *BASELINES, LOCAL_BASELINE)),
    *(("vae", name) for name in ("latent", "likelihood", "neighbours")),
    *(("cvae", name) for name in ("likelihood", "neighbours")),
    *(("restorer", "hidden"), ("gan", "discriminator"), ("packed", "discriminator"), ("diffusion", "denoising")),
]


@pytest.mark.parametrize(("model", "name"), CASES)
def test_a_score_depends_on_its_image_alone(runs, model, name):
    opened = runs[model]
    images = opened.dataset.test.head(12).images
    scorer = find(name, opened.model).fit(opened, SILENT)
    torch.manual_seed(1)
    first = scorer(images)
    torch.manual_seed(2)
    assert torch.equal(scorer(images).values, first.values)
    again = find(name, opened.model).fit(opened, SILENT)
    order = torch.tensor([7, 2, 11])
    other = again(images[order])
    torch.testing.assert_close(other.values, first.values[order], rtol=1e-5, atol=1e-6)
    assert first.values.dtype == torch.float64
    assert first.values.shape == (12,)
    assert find(name, opened.model).maps == (first.maps is not None)
    if first.maps is not None:
        assert other.maps is not None
        assert first.maps.shape == (12, 8, 8)
        assert (first.maps >= 0).all()
        torch.testing.assert_close(other.maps, first.maps[order], rtol=1e-4, atol=1e-6)


def test_every_score_is_tested():
    assert {name for _, name in CASES} == set(scores())


def test_the_local_outlier_ratio_is_about_1_inside_and_larger_outside():
    draw = torch.Generator().manual_seed(0)
    dense, sparse = torch.randn(500, 3, generator=draw), 50 + 10 * torch.randn(500, 3, generator=draw)
    outliers = LocalOutliers(torch.cat([dense, sparse]), 10)
    inside = outliers.ratios(torch.cat([torch.randn(100, 3, generator=draw), 50 + 10 * torch.randn(100, 3, generator=draw)]))
    assert inside.median().item() == pytest.approx(1.05, abs=0.1)
    assert outliers.ratios(torch.tensor([[8.0, 0.0, 0.0]])).item() > inside.max()  # nearer to its neighbours than sparse points


def test_the_local_outlier_ratio_equals_its_definition():
    rng = np.random.default_rng(0)
    references, points = rng.normal(size=(40, 3)), rng.normal(size=(9, 3))
    own = NearestNeighbors(n_neighbors=6).fit(references).kneighbors(references)[0][:, 1:].mean(1)
    distances, positions = NearestNeighbors(n_neighbors=5).fit(references).kneighbors(points)
    found = LocalOutliers(torch.from_numpy(references), 5).ratios(torch.from_numpy(points))
    np.testing.assert_allclose(found.numpy(), distances.mean(1) / own[positions].mean(1), rtol=1e-6)


def test_copies_among_references_have_finite_ratios():
    assert LocalOutliers(torch.zeros(30, 2), 10).ratios(torch.ones(1, 2)).isfinite().all()


def test_baselines_equal_those_of_scikit_learn(trained_autoencoder):
    train = trained_autoencoder.dataset.train.head(10**5).images.flatten(1).numpy()
    images = trained_autoencoder.dataset.test.head(20).images
    pixels = images.flatten(1).numpy()
    fitted = PCA(32).fit(train.astype(np.float64))
    residual = ((pixels - fitted.inverse_transform(fitted.transform(pixels))) ** 2).sum(1)
    found = find("pca", trained_autoencoder.model).fit(trained_autoencoder, SILENT)(images)
    np.testing.assert_allclose(found.values.numpy(), residual, rtol=1e-3)
    fifth = NearestNeighbors(n_neighbors=5).fit(train).kneighbors(pixels)[0][:, -1]
    found = find("pixel-neighbours", trained_autoencoder.model).fit(trained_autoencoder, SILENT)(images)
    np.testing.assert_allclose(found.values.numpy(), fifth, rtol=1e-4)


def test_the_likelihood_is_that_of_the_model(trained_vae):
    """A sharp estimate by 2,000 importance samples agrees with the score within its bias and its error."""
    images = trained_vae.dataset.test.head(5).images
    found = find("likelihood", trained_vae.model).fit(trained_vae, SILENT)(images).values
    with torch.no_grad():
        torch.manual_seed(0)
        sharp = -trained_vae.model.log_likelihood(images, 2000).nats.double()
    assert ((found - sharp).abs() < 1.5).all()


def test_patches_find_where_an_image_was_changed(trained_autoencoder):
    images = trained_autoencoder.dataset.test.head(30).images.clone()
    images[:, :, :3, :3] = 1
    maps = find("reconstruction", trained_autoencoder.model).fit(trained_autoencoder, SILENT)(images).maps
    assert maps is not None
    assert maps[:, :3, :3].mean() > 2 * maps[:, 4:, 4:].mean()


def test_every_family_has_one_default_or_none():
    found = {}
    for name in families.names():
        try:
            found[name] = default(families.find(name)).name
        except NotApplicable:
            found[name] = "none"
    expected = {
        **dict.fromkeys(("autoencoder", "vae", "vae_gan", "cvae"), "neighbours"),
        **dict.fromkeys(("diffusion", "flow"), "denoising"),
        **dict.fromkeys(("gan", "conv_gan", "dcgan", "wgan_gp"), "discriminator"),
        "cyclegan": "none",
        "restorer": "hidden",
    }
    assert found == expected
    assert set(DEFAULTS) <= set(scores())


def test_unknown_and_inapplicable_scores_are_refused(trained_autoencoder):
    with pytest.raises(UsageError, match="did you mean 'reconstruction'"):
        find("reconstrution", trained_autoencoder.model)
    with pytest.raises(NotApplicable, match="score likelihood is not applicable to Autoencoder: it needs a likelihood"):
        find("likelihood", trained_autoencoder.model)
