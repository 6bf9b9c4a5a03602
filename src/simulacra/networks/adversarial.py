"""Wrappers of the layers of generators and discriminators, conditional on labels or not."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.networks.labels import LabelEmbedding, one_hot

_SLOPE = 0.2  # of LeakyReLU below zero (Radford et al. 2015, section 3)


class Generator(nn.Module):
    """Maps noise [b d], concatenated with one-hot labels if there are any (Mirza & Osindero 2014), to images."""

    def __init__(self, layers: nn.Module, label_sizes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.layers, self.label_sizes = layers, label_sizes

    def forward(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images float32 [b c h w] in [0, 1]."""
        if self.label_sizes:
            assert condition.labels is not None
            noise = torch.cat([noise, one_hot(condition.labels, self.label_sizes).to(noise.dtype)], 1)
        images: Tensor = self.layers(noise)
        return torch.sigmoid(images.float())


class Discriminator(nn.Module):
    """A body that maps images to features [b f], and a linear head that maps these to a logit [b].

    With labels the logit is the sum of that and of the inner product of the features with the embedding of the labels
    (projection, Miyato & Koyama 2018, section 3), which the paper finds better than labels as additional image channels.
    """

    def __init__(self, body: nn.Sequential, head: nn.Linear, label_sizes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.embedding = LabelEmbedding(label_sizes, head.in_features) if label_sizes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return logits float32 [b], larger for images classified as real."""
        features = self.body(images)
        logits: Tensor = self.head(features)[:, 0].float()
        if self.embedding is not None:
            logits = logits + (self.embedding(condition.labels) * features).float().sum(1)
        return logits


def leaky() -> nn.LeakyReLU:
    """Return the non-linearity of discriminators."""
    return nn.LeakyReLU(_SLOPE)


def spectrally_normalized(network: nn.Module) -> nn.Module:
    """Divide every weight matrix by its largest singular value, found by power iteration (Miyato et al. 2018, section 2.1)."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(module)
    return network
