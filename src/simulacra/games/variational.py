"""The latent space of models with a Gaussian posterior and a standard normal prior."""

import torch
from torch import Tensor

from simulacra.core.capabilities import HasPosterior, LatentSpace, Posterior, Reconstructs, Samples
from simulacra.core.condition import UNCONDITIONAL, Condition

_LOG_VAR = 12.0  # log-variances are clamped to [-12, 12]: beyond it exp() over- or underflows, and is slow


class VariationalLatentSpace(Samples, LatentSpace, Reconstructs, HasPosterior):
    """Sampling, encoding and reconstruction by a posterior q(z|x), a decoder, and the prior N(0, 1)."""

    prior = "standard normal"
    amortized = True

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The noise is a sample of the prior: [latent_dim]."""
        return (self.latent_dim,)

    def encode(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the posterior mean."""
        return self.posterior(images, condition).mean

    def reconstruct(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode the posterior mean."""
        return self.decode(self.encode(images, condition), condition)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode samples of the prior."""
        return self.decode(noise, condition)


def posterior_of(mean: Tensor, log_var: Tensor) -> Posterior:
    """Return a posterior in float32 with bounded log-variances from the outputs [b d] of an encoder."""
    return Posterior(mean.float(), log_var.float().clamp(-_LOG_VAR, _LOG_VAR))


def drawn(posterior: Posterior, particles: int) -> Tensor:
    """Return reparameterized samples mean + sigma * eps: [k b d] (Kingma & Welling 2013, section 2.4)."""
    noise = torch.randn(particles, *posterior.mean.shape, device=posterior.mean.device)
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise


def latents_of(prior: Posterior, noise: Tensor) -> Tensor:
    """Return the latents [... b d] of a learned prior [b d] from noise N(0, 1) [... b d]."""
    return prior.mean + torch.exp(0.5 * prior.log_var) * noise


def relative_to(prior: Posterior, posterior: Posterior) -> Posterior:
    """Return the distribution of the noise whose latents, by `latents_of`, have the distribution `posterior`."""
    mean = (posterior.mean - prior.mean) * torch.exp(-0.5 * prior.log_var)
    return Posterior(mean, posterior.log_var - prior.log_var)
