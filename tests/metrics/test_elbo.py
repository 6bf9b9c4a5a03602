"""What the VAE logs and trains on equals the ELBO, computed in float64 from its weights and the same noise (traps 1 and 3)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.family import Loss
from simulacra.families.vae import VAE, VAEConfig

Array = NDArray[np.float64]
MNIST = DataSpec(1, 28, 28)
SEED = 5


def new(config: VAEConfig, spec: DataSpec = MNIST) -> VAE:
    torch.manual_seed(0)
    vae = VAE(config, spec)
    for parameter in vae.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.1)  # biases begin at zero, which would hide one that is forgotten
    return vae


def grey_images(count: int, spec: DataSpec = MNIST) -> Tensor:
    return torch.randint(0, 256, (count, *spec.shape), generator=torch.Generator().manual_seed(1)) / 255


def loss_of(vae: VAE, images: Tensor) -> Loss:
    torch.manual_seed(SEED)
    (turn,) = vae.turns()
    return turn.losses(Batch(images))["vae"]


def noise_of(vae: VAE, images: Tensor, particles: int = 1) -> Array:
    """Return the noise that the loss draws first after SEED, as [k b d]."""
    torch.manual_seed(SEED)
    return torch.randn(particles, len(images), vae.latent_dim).double().numpy()


def kl(mean: Array, log_var: Array) -> Array:
    """Return KL to the prior [b d], written with standard deviations: log(1/s) + (s^2 + m^2 - 1) / 2."""
    sigma = np.exp(log_var) ** 0.5
    return -np.log(sigma) + (sigma**2 + mean**2 - 1) / 2


def cross_entropy(logits: Array, pixels: Array) -> Array:
    """Return BCE of every pixel from probabilities, as a document writes it."""
    probability = scipy.special.expit(logits)
    return -(pixels * np.log(probability) + (1 - pixels) * np.log(1 - probability))


def dense_pass(state: Mapping[str, Tensor], images: Tensor, noise: Array) -> tuple[Array, Array, Array]:
    """Return mean, log-variance and outputs [k b ...] of a dense VAE with one ReLU layer, in float64."""
    weights = {name: tensor.detach().double().numpy() for name, tensor in state.items()}

    def layer(name: str, values: Array) -> Array:
        return np.asarray(values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    hidden = np.maximum(layer("encoder.1", images.double().flatten(1).numpy()), 0)
    mean, log_var = layer("mean", hidden), layer("log_var", hidden)
    latents = mean + np.exp(log_var / 2) * noise
    return mean, log_var, layer("decoder.2", np.maximum(layer("decoder.0", latents), 0))


def test_logged_elbo_of_the_conv_preset_equals_float64(keras_vae: Any) -> None:
    vae, images = new(VAEConfig()), grey_images(3)
    loss = loss_of(vae, images)
    reference, pixels = keras_vae(vae.state_dict()), images.double().numpy().transpose(0, 2, 3, 1)
    mean, log_var = reference.encode(pixels)
    logits = reference.decode(mean + np.exp(log_var / 2) * noise_of(vae, images)[0])
    rate = kl(mean, log_var).sum(1).mean()
    distortion = cross_entropy(logits, pixels).reshape(3, -1).sum(1).mean()
    # 784 terms of about 0.7 in float32: 550 nats * 2^-24 * sqrt(784) = 1e-3
    assert loss.parts["rate_nats"].item() == pytest.approx(rate, rel=1e-5)
    assert loss.parts["distortion_nats"].item() == pytest.approx(distortion, abs=1e-3)
    assert loss.parts["negative_elbo_nats"].item() == pytest.approx(rate + distortion, abs=1e-3)
    assert loss.total.item() == pytest.approx(rate + distortion, abs=1e-3)


def test_logged_elbo_averages_distortion_over_particles_and_keeps_the_rate_analytic() -> None:
    vae, images = new(VAEConfig(network="dense", latent_dim=4, hidden=(32,), particles=3)), grey_images(5)
    loss = loss_of(vae, images)
    mean, log_var, logits = dense_pass(vae.state_dict(), images, noise_of(vae, images, 3))
    distortion = cross_entropy(logits, images.double().flatten(1).numpy()).sum(-1).mean()
    assert loss.parts["rate_nats"].item() == pytest.approx(kl(mean, log_var).sum(1).mean(), rel=1e-5)
    assert loss.parts["distortion_nats"].item() == pytest.approx(distortion, abs=1e-3)


def test_beta_weighs_the_rate_in_the_loss_and_not_in_the_logged_elbo() -> None:
    images = grey_images(4)
    plain, weighted = (loss_of(new(VAEConfig(beta=beta)), images) for beta in (1.0, 4.0))
    assert plain.parts["negative_elbo_nats"].item() == weighted.parts["negative_elbo_nats"].item()
    expected = 4 * weighted.parts["rate_nats"] + weighted.parts["distortion_nats"]
    assert weighted.total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_reduction_mean_is_bce_mean_plus_kl_mean_as_the_document_writes_it(keras_vae: Any) -> None:
    vae, images = new(VAEConfig(reduction="mean")), grey_images(3)
    loss = loss_of(vae, images)
    reference, pixels = keras_vae(vae.state_dict()), images.double().numpy().transpose(0, 2, 3, 1)
    mean, log_var = reference.encode(pixels)
    logits = reference.decode(mean + np.exp(log_var / 2) * noise_of(vae, images)[0])
    assert loss.total.item() == pytest.approx(cross_entropy(logits, pixels).mean() + kl(mean, log_var).mean(), rel=1e-5)


def test_reduction_mean_is_beta_49_of_the_sum_elbo_divided_by_784() -> None:
    images = grey_images(3)
    models = [new(VAEConfig(reduction="mean")), new(VAEConfig(beta=49.0))]
    assert [model.beta for model in models] == [49.0, 49.0]
    mean, total = (torch.autograd.grad(loss_of(model, images).total, list(model.parameters())) for model in models)
    for name, left, right in zip(dict(models[0].named_parameters()), mean, total, strict=True):
        torch.testing.assert_close(784 * left, right, rtol=1e-4, atol=1e-4 * right.abs().max().item(), msg=name)


def test_reduction_mean_logs_the_elbo_in_nats_all_the_same() -> None:
    images = grey_images(3)
    mean, total = (loss_of(new(VAEConfig(reduction=reduction)), images) for reduction in ("mean", "sum"))
    assert {name: part.item() for name, part in mean.parts.items()} == {name: part.item() for name, part in total.parts.items()}


def test_training_and_validation_report_the_same_elbo() -> None:
    # trap 1: one weighting in the training loss, another one in the evaluation
    vae, images = new(VAEConfig(beta=4.0, reduction="mean")), grey_images(3)
    logged = loss_of(vae, images).parts["negative_elbo_nats"].item()
    torch.manual_seed(SEED)
    assert vae.elbo(images).negative_elbo.mean().item() == pytest.approx(logged, rel=1e-6)


def test_gaussian_likelihood_scores_dequantized_pixels_as_scipy_does() -> None:
    spec = DataSpec(3, 4, 5)
    vae = new(VAEConfig(network="dense", latent_dim=2, hidden=(8,), likelihood="gaussian"), spec)
    observed = torch.rand(6, *spec.shape, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(SEED)
    evidence = vae.elbo(observed)
    _, _, outputs = dense_pass(vae.state_dict(), observed, noise_of(vae, observed))
    assert vae.log_sigma is not None
    sigma = np.exp(vae.log_sigma.double().item())
    density = scipy.stats.norm.logpdf(observed.double().flatten(1).numpy(), scipy.special.expit(outputs[0]), sigma)
    np.testing.assert_allclose(evidence.distortion.detach().numpy(), -density.sum(1), rtol=1e-5, atol=1e-4)


def test_logistic_likelihood_scores_256_levels_with_a_mean_and_a_scale_for_every_pixel() -> None:
    spec = DataSpec(3, 4, 5)
    vae = new(VAEConfig(network="dense", latent_dim=2, hidden=(8,), likelihood="logistic"), spec)
    images = grey_images(6, spec)
    torch.manual_seed(SEED)
    evidence = vae.elbo(images)
    _, _, outputs = dense_pass(vae.state_dict(), images, noise_of(vae, images))
    mean, log_scale = np.split(outputs[0], 2, axis=1)  # channels first: all means, then all scales
    pixels, edge = images.double().flatten(1).numpy(), 0.5 / 255
    law = scipy.stats.logistic(3 * scipy.special.expit(mean) - 1, np.exp(log_scale - 2))
    upper, lower = (np.where(pixels == 1, 1, law.cdf(pixels + edge)), np.where(pixels == 0, 0, law.cdf(pixels - edge)))
    np.testing.assert_allclose(evidence.distortion.detach().numpy(), -np.log(upper - lower).sum(1), rtol=1e-5)


def test_iwae_of_one_particle_is_its_own_elbo_estimate_and_more_particles_lie_above_it() -> None:
    images = grey_images(8).round()
    one, many = (
        loss_of(new(VAEConfig(network="dense", hidden=(16,), objective="iwae", particles=count)), images) for count in (1, 5)
    )
    assert one.total.item() == one.parts["negative_iwae_nats"].item() == one.parts["negative_elbo_nats"].item()
    assert many.total.item() == many.parts["negative_iwae_nats"].item() < many.parts["negative_elbo_nats"].item()


def test_iwae_loss_equals_float64() -> None:
    vae, images = new(VAEConfig(network="dense", latent_dim=4, hidden=(32,), objective="iwae", particles=5)), grey_images(3)
    loss = loss_of(vae, images)
    noise = noise_of(vae, images, 5)
    mean, log_var, logits = dense_pass(vae.state_dict(), images, noise)
    latents = mean + np.exp(log_var / 2) * noise
    log_weights = -cross_entropy(logits, images.double().flatten(1).numpy()).sum(-1)
    log_weights += scipy.stats.norm.logpdf(latents).sum(-1) - scipy.stats.norm.logpdf(latents, mean, np.exp(log_var / 2)).sum(-1)
    bound = (scipy.special.logsumexp(log_weights, axis=0) - np.log(5)).mean()
    assert loss.total.item() == pytest.approx(-bound, abs=1e-3)
    assert loss.parts["negative_elbo_nats"].item() == pytest.approx(-log_weights.mean(), abs=1e-3)


def test_bits_of_a_density_count_the_256_levels() -> None:
    spec = DataSpec(3, 4, 5)
    extras = {
        kind: new(VAEConfig.of({"likelihood": kind}), spec).nats_to_discrete for kind in ("bernoulli", "gaussian", "logistic")
    }
    assert extras == {"bernoulli": None, "gaussian": pytest.approx(60 * np.log(256)), "logistic": 0.0}


def test_settings_that_contradict_each_other_are_refused() -> None:
    for values in ({"objective": "iwae", "beta": 2.0}, {"objective": "iwae", "reduction": "mean"}):
        with pytest.raises(UsageError, match="'iwae', which has neither beta nor reduction"):
            VAEConfig.of(values)
    with pytest.raises(UsageError, match="binarize needs likelihood 'bernoulli', got 'gaussian'"):
        VAEConfig.of({"binarize": True, "likelihood": "gaussian"})
