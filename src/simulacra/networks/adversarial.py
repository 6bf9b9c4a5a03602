"""Generators and discriminators of adversarial games: what wraps their layers, with or without classes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from simulacra.core.capabilities import Samples
from simulacra.networks.labels import drawn_classes, noise_size

_SLOPE = 0.2  # of LeakyReLU below zero (Radford et al. 2015, section 3)


class Generator(nn.Module):
    """Layers from noise [b d], with one-hot classes [b classes] behind it where there are any (Mirza & Osindero 2014)."""

    def __init__(self, layers: nn.Module, classes: int = 0) -> None:
        super().__init__()
        self.layers, self.classes = layers, classes

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images float32 [b c h w] in [0, 1]."""
        if self.classes:
            assert labels is not None
            noise = torch.cat([noise, F.one_hot(labels, self.classes).to(noise.dtype)], 1)
        images: Tensor = self.layers(noise)
        return torch.sigmoid(images.float())


class Discriminator(nn.Module):
    """A body from images to features [b f], and a linear head from these to a logit [b].

    With classes the logit gains the product of the features with a vector that belongs to the label (projection, Miyato &
    Koyama 2018, section 3). Labels as additional image channels would be the alternative: their layers must first learn what the
    channels mean, and the paper finds projection better than them.
    """

    def __init__(self, body: nn.Sequential, head: nn.Linear, classes: int = 0) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.classes = nn.Embedding(classes, head.in_features) if classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=0.02)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits float32 [b], larger for what is held to be real."""
        features = self.body(images)
        logits: Tensor = self.head(features)[:, 0].float()
        if self.classes is not None:
            logits = logits + (self.classes(labels) * features).float().sum(1)
        return logits


class SamplesFromGenerator(Samples):
    """Turns noise into images, of the classes asked for or drawn by the noise itself."""

    generator: nn.Module
    noise: int
    """Dimensions of the generator's noise."""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise of one image."""
        return (noise_size(self.noise, self.classes),)

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images [b c h w] in [0, 1]."""
        images: Tensor = self.generator(*drawn_classes(noise, labels, self.classes))
        return images


def leaky() -> nn.LeakyReLU:
    """Return the non-linearity of discriminators."""
    return nn.LeakyReLU(_SLOPE)


def spectrally_normalized(network: nn.Module) -> nn.Module:
    """Divide every weight matrix by its largest singular value, found by power iteration (Miyato et al. 2018, section 2.1)."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(module)
    return network
