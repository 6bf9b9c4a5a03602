"""`log_likelihood` on a model whose likelihood is known: exact where it can be, converging elsewhere (traps 3 and 4)."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.families.vae import VAE, VAEConfig

SIGMA = 0.1
SPEC = DataSpec(1, 2, 3)


class LinearDecoder(nn.Module):
    """Logits whose sigmoid is 0.5 + W z: within (0, 1) for every latent that is ever drawn here."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.logit(0.5 + latents @ self.weight.T).view(-1, *SPEC.shape)


@dataclass(frozen=True)
class LinearGaussian:
    """x = 0.5 + W z + 0.1 e: a VAE whose parts are replaced, with its exact likelihood.

    The columns w of W are orthogonal, so that the posterior is diagonal: its variance is 1 / (1 + |w|^2 / 0.01), and its mean
    variance * w.(x - 0.5) / 0.01.
    """

    vae: VAE
    observed: Tensor
    exact: np.ndarray

    @classmethod
    def new(cls, proposal: str) -> "LinearGaussian":
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(6, 2, generator=generator)).Q * torch.tensor([0.10, 0.06])
        vae = VAE(VAEConfig(network="dense", hidden=(), latent_dim=2, likelihood="gaussian"), SPEC)
        vae.encoder, vae.decoder = nn.Flatten(), LinearDecoder(columns)
        assert vae.log_sigma is not None
        with torch.no_grad():
            vae.log_sigma.fill_(math.log(SIGMA))
            for layer in (vae.mean, vae.log_var):
                layer.weight.zero_()
                layer.bias.zero_()
            if proposal == "posterior":
                variance = 1 / (1 + (columns**2).sum(0) / SIGMA**2)
                vae.mean.weight.copy_(variance[:, None] * columns.T / SIGMA**2)
                vae.mean.bias.copy_(-vae.mean.weight.sum(1) / 2)
                vae.log_var.bias.copy_(variance.log())
        latents = torch.randn(20, 2, generator=generator)
        observed = 0.5 + latents @ columns.T + SIGMA * torch.randn(20, 6, generator=generator)
        covariance = columns.double() @ columns.double().T + SIGMA**2 * torch.eye(6, dtype=torch.float64)
        law = scipy.stats.multivariate_normal([0.5] * 6, covariance.numpy())
        return cls(vae, observed.view(20, *SPEC.shape), law.logpdf(observed.double().numpy()))

    @torch.no_grad()
    def estimate(self, particles: int) -> np.ndarray:
        torch.manual_seed(1)
        return self.vae.log_likelihood(self.observed, particles).nats.double().numpy()


@pytest.mark.parametrize("particles", [1, 2, 50])
def test_the_true_posterior_as_proposal_gives_the_exact_likelihood_with_any_number_of_particles(particles: int) -> None:
    # variance zero: every weight is p(x). Wrong signs, a squared sigma or a KL inside would all differ by nats.
    model = LinearGaussian.new("posterior")
    np.testing.assert_allclose(model.estimate(particles), model.exact, atol=1e-4)


def test_the_elbo_at_the_true_posterior_is_the_exact_likelihood_on_average_over_the_noise() -> None:
    model = LinearGaussian.new("posterior")
    with torch.no_grad():
        torch.manual_seed(1)
        evidence = model.vae.elbo(model.observed.repeat(2000, 1, 1, 1))
    estimates = -evidence.negative_elbo.double().view(2000, 20)
    error = estimates.std(0) / math.sqrt(2000)
    # 20 normal scores; |z| > 5.7 has probability 2.4e-7 in all; detects an error of 9 standard errors (0.2 nats) surely
    assert (((estimates.mean(0) - torch.tensor(model.exact)) / error).abs() < 5.7).all()
    assert error.max() < 0.03


def test_the_prior_as_proposal_converges_to_the_exact_likelihood() -> None:
    model = LinearGaussian.new("prior")
    errors = {count: np.abs(model.estimate(count) - model.exact).mean() for count in (1, 30, 1000, 30_000)}
    assert errors[1] > 0.5 > errors[30] > errors[1000] > errors[30_000]
    assert errors[30_000] < 0.02


def tiny(likelihood: str) -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig.of({"network": "dense", "hidden": (8,), "latent_dim": 3, "likelihood": likelihood}), DataSpec(1, 4, 4))


@pytest.mark.parametrize("particles", [1, 7, 5000])
def test_exactly_as_many_latents_are_drawn_as_asked_for(particles: int) -> None:
    # trap 4: nll(n_samples=1) that draws 100
    vae, drawn = tiny("bernoulli"), []
    hook = vae.decoder.register_forward_hook(lambda module, inputs, output: drawn.append(inputs[0].detach()))
    vae.log_likelihood(torch.rand(3, 1, 4, 4).round(), particles)
    hook.remove()
    latents = torch.cat(drawn)
    assert len(latents) == 3 * particles
    assert len(latents.unique(dim=0)) == 3 * particles  # none is counted twice


@pytest.mark.parametrize("count", [1, 3, 4097])
def test_the_number_of_images_does_not_change_what_is_drawn_for_each(count: int) -> None:
    vae, drawn = tiny("bernoulli"), []
    hook = vae.decoder.register_forward_hook(lambda module, inputs, output: drawn.append(len(inputs[0])))
    result = vae.log_likelihood(torch.zeros(count, 1, 4, 4), 2)
    hook.remove()
    assert sum(drawn) == 2 * count
    assert result.nats.shape == (count,)


def test_large_images_are_decoded_in_small_groups_so_that_memory_stays_bounded() -> None:
    # 4,096 images of 3x97x64 at once would need 3 GB for each activation of 32 channels
    spec, decoded = DataSpec(3, 97, 64), []
    vae = VAE(VAEConfig(network="dense", hidden=(1,), latent_dim=1), spec)
    hook = vae.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(output.numel()))
    with torch.no_grad():
        vae.log_likelihood(torch.zeros(2, *spec.shape), 400)
    hook.remove()
    assert sum(decoded) == 800 * spec.dimensions
    assert max(decoded) <= 2**22


@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic"])
def test_log_likelihoods_of_discrete_data_are_negative_and_larger_is_better(likelihood: str) -> None:
    vae = tiny(likelihood)
    with torch.no_grad():
        dict(vae.decoder.named_parameters())["2.bias"][:16] += torch.tensor([2.0, -2.0]).repeat(
            8
        )  # so that the latents of an image matter little
        image = vae.decode(torch.zeros(1, 3)).round()  # what the model expects to see, and its opposite
        liked, disliked = vae.log_likelihood(image, 500).nats, vae.log_likelihood(1 - image, 500).nats
    assert disliked.item() < liked.item() <= 0


def test_the_estimate_says_that_it_is_a_lower_bound() -> None:
    assert tiny("bernoulli").log_likelihood(torch.zeros(1, 1, 4, 4), 2).kind == "lower bound"
