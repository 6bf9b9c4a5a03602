"""What a conditional latent-variable model is given: labels or captions, which enter its networks in the same way."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.condition import Condition
from simulacra.core.vocabulary import Vocabulary
from simulacra.networks.captions import CaptionEncoder, no_captions
from simulacra.networks.labels import LabelEmbedding, scaled_one_hot
from simulacra.networks.mlp import dense

_CAPTION = 64  # width of the vector of a caption
_EPSILON = 1e-6  # added to its mean square


class Conditioning(nn.Module, ABC):
    """Maps what is given with each image to inputs of a network, float [b features] with a mean square of 1.

    The mean square is that of standard normal latents, beside which a decoder receives these inputs.
    """

    features: int
    """Number of inputs."""

    @abstractmethod
    def given(self, condition: Condition, count: int) -> Tensor | None:
        """Return one row for each of `count` images, in the form that `forward` takes; None for labels that are not given."""

    @abstractmethod
    def forward(self, given: Tensor) -> Tensor:
        """Return the inputs [b features] of a network."""

    @abstractmethod
    def affine(self, outputs: int) -> LabelEmbedding | nn.Linear:
        """Return a module from what is given to [b outputs], an affine function of the inputs that begins as 0."""


class LabelConditioning(Conditioning):
    """Labels int64 [b] or [b k]: scaled one-hot vectors of all properties. It has no weights."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes, self.features = sizes, sum(sizes)

    def given(self, condition: Condition, count: int) -> Tensor | None:
        """Return the labels, None where there are none."""
        return condition.labels

    def forward(self, given: Tensor) -> Tensor:
        """Return the scaled one-hot vectors of labels."""
        return scaled_one_hot(given, self.sizes)

    def affine(self, outputs: int) -> LabelEmbedding | nn.Linear:
        """Return the sum of one row of a table for each property."""
        table = LabelEmbedding(self.sizes, outputs)
        nn.init.zeros_(table.weight)
        return table


class CaptionConditioning(Conditioning):
    """Captions: the vector of a caption encoder divided by its root mean square, so that long captions do not weigh more.

    `given` encodes captions once, for encoder, decoder, prior and all samples of the latents. A missing caption has the vector of
    "no caption", which is learned from images without one.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.features = _CAPTION
        self.encoder = CaptionEncoder(vocabulary, _CAPTION)

    def given(self, condition: Condition, count: int) -> Tensor:
        """Return the vectors float32 [b features] of the captions, or `count` of "no caption" where there are none."""
        device = self.encoder.summary.device
        tokens = no_captions(count, device) if condition.tokens is None else condition.tokens.to(device)
        return F.rms_norm(self.encoder(tokens).float(), (_CAPTION,), eps=_EPSILON)

    def forward(self, given: Tensor) -> Tensor:
        """Return the vectors themselves."""
        return given

    def affine(self, outputs: int) -> LabelEmbedding | nn.Linear:
        """Return a dense layer."""
        layer = dense(self.features, outputs)
        nn.init.zeros_(layer.weight)
        return layer
