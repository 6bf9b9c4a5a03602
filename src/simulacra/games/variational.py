"""What models with a Gaussian posterior and a standard normal prior have in common: how they sample, encode and reconstruct."""

import torch
from torch import Tensor

from simulacra.core.capabilities import Decodes, Encodes, HasPosterior, Posterior, Reconstructs, Samples

_LOG_VAR = 12.0  # log-variances are kept in [-12, 12]: beyond it exp() leaves the useful range, and is slow


class Variational(Samples, Encodes, Decodes, Reconstructs, HasPosterior):
    """All that follows from a posterior q(z|x), a decoder, and the prior N(0, 1)."""

    prior = "standard normal"

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The prior is the noise: [latents]."""
        return (self.latent_dim,)

    def encode(self, images: Tensor) -> Tensor:
        """Return the posterior mean."""
        return self.posterior(images).mean

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the posterior mean."""
        return self.decode(self.encode(images))

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Decode samples of the prior; the encoder is not used."""
        return self.decode(noise)


def posterior_of(mean: Tensor, log_var: Tensor) -> Posterior:
    """Return a posterior in float32 with bounded log-variances, as two heads [b d] of an encoder describe it."""
    return Posterior(mean.float(), log_var.float().clamp(-_LOG_VAR, _LOG_VAR))


def drawn(posterior: Posterior, particles: int) -> Tensor:
    """Return reparameterized samples mean + sigma * eps: [k b d] (Kingma & Welling 2013, section 2.4)."""
    noise = torch.randn(particles, *posterior.mean.shape, device=posterior.mean.device)
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise
