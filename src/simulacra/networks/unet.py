"""The U-Net of diffusion models (Ho et al. 2020, appendix B), with optional labels or captions, for images of any size.

Convolutions with a stride use `same` padding; upsampled feature maps are cropped to the size that they had before downsampling.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.vocabulary import Vocabulary
from simulacra.networks.captions import CaptionEncoder, no_captions
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.kernels.normalization import GroupNorm
from simulacra.networks.labels import LabelEmbedding, unknown_labels
from simulacra.networks.mlp import dense
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, downsampled_sizes

_MAX_GROUPS = 32  # of group normalization (Ho et al. 2020)
_EPS = 1e-6  # added to the variance of a group
_TIME_SCALE = 1000.0  # times in [0, 1] are embedded as the steps 0..1000 of Ho et al.
_MAX_PERIOD = 10_000.0  # of the sinusoidal embedding, over 2 pi (Vaswani et al. 2017, section 3.5)


@dataclass(frozen=True)
class UNetConfig(Config):
    """Architecture of a U-Net. With skip connections of all feature maps the decoder has one more block per resolution."""

    features: tuple[int, ...] = option(
        (32, 64, 64), "feature maps of the U-Net at each resolution; each resolution is half of the previous one", low=1
    )
    blocks: int = option(1, "residual blocks at each resolution", low=1)
    attention: tuple[int, ...] = option(
        (), "resolutions with self-attention, by their shorter side in pixels; the lowest always has it", low=1
    )
    dropout: float = option(0.0, "dropout rate of the residual blocks", low=0, high=0.9)
    resampling: Literal["conv", "pool"] = option(
        "pool", "resampling by strided convolutions, or by pooling and nearest-neighbour upsampling"
    )
    skips: Literal["all", "blocks"] = option(
        "blocks", "skip connections used by the decoder: of all feature maps, or of residual blocks only"
    )
    group: int = option(
        16, "least number of channels per group of the group normalization; fewer than 16 are slow on CPUs", low=1
    )

    def validate(self) -> None:
        """Raise UsageError if there are no features."""
        if not self.features:
            raise UsageError("features is empty: a U-Net needs at least one number, such as 32,64,64")


class UNet(nn.Module):
    """U-Net from noisy images [b c h w], times in [0, 1] and labels or captions to `outputs` values per pixel [b outputs h w].

    label_sizes: number of values of each labelled property; if empty, labels are ignored. A label equal to the size means "no
    label". vocabulary: of the captions; if None, captions are ignored. spans: whether the length of a step is an input. The last
    layers of the network, of the embedding of lengths, of residual blocks and of attentions start at zero, so an untrained
    network returns 0.
    """

    def __init__(
        self,
        spec: DataSpec,
        outputs: int,
        config: UNetConfig,
        label_sizes: tuple[int, ...] = (),
        vocabulary: Vocabulary | None = None,
        *,
        spans: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.label_sizes = config, label_sizes
        width, bottom = config.features[0], config.features[-1]
        self.embedding_dim = 4 * width
        self.time = nn.Sequential(dense(width, self.embedding_dim), nn.SiLU(), dense(self.embedding_dim, self.embedding_dim))
        self.label = LabelEmbedding(label_sizes, self.embedding_dim, unknown=True) if label_sizes else None
        self.caption = CaptionEncoder(vocabulary, self.embedding_dim) if vocabulary is not None else None
        sizes = downsampled_sizes(spec.height, spec.width, len(config.features) - 1)
        self.first = SameConv2d(spec.channels, width, 3)
        skips: list[int] = [width] if config.skips == "all" else []  # widths of the feature maps with a skip connection
        self.down = self._encoder(sizes, skips)
        self.middle = nn.ModuleList([self._block(bottom, bottom, attention=attention) for attention in (True, False)])
        self.up = self._decoder(sizes, skips)
        self.last = nn.Sequential(_norm(width, config.group), nn.SiLU(), _output_layer(width, outputs, sizes[0]))
        self.span = None
        if spans:
            self.span = nn.Sequential(
                dense(width, self.embedding_dim), nn.SiLU(), _zero(dense(self.embedding_dim, self.embedding_dim))
            )

    def _encoder(self, sizes: list[tuple[int, int]], skips: list[int]) -> nn.ModuleList:
        """Return the blocks and downsampling layers; append the widths of their skip connections to `skips`."""
        layers: list[nn.Module] = []
        inputs = self.config.features[0]
        for level, (width, size) in enumerate(zip(self.config.features, sizes, strict=True)):
            for _ in range(self.config.blocks):
                layers.append(self._block(inputs, width, attention=min(size) in self.config.attention))
                inputs = width
                skips.append(width)
            if level < len(sizes) - 1:
                layers.append(_Downsample(width, self.config.resampling))
                skips += [width] if self.config.skips == "all" else []
        return nn.ModuleList(layers)

    def _decoder(self, sizes: list[tuple[int, int]], skips: list[int]) -> nn.ModuleList:
        """Return the blocks and upsampling layers; remove the widths of their skip connections from `skips`."""
        layers: list[nn.Module] = []
        inputs = self.config.features[-1]
        for level in reversed(range(len(sizes))):
            width = self.config.features[level]
            for _ in range(self.config.blocks + (self.config.skips == "all")):
                layers.append(self._block(inputs + skips.pop(), width, attention=min(sizes[level]) in self.config.attention))
                inputs = width
            if level:
                layers.append(_Upsample(width, self.config.resampling, sizes[level - 1]))
        return nn.ModuleList(layers)

    def _block(self, inputs: int, outputs: int, *, attention: bool) -> "_ResidualBlock":
        return _ResidualBlock(inputs, outputs, self.embedding_dim, self.config, attention=attention)

    def forward(
        self,
        noisy: Tensor,
        times: Tensor,
        labels: Tensor | None = None,
        tokens: Tensor | None = None,
        spans: Tensor | None = None,
    ) -> Tensor:
        """Return [b outputs h w] for noisy images [b c h w] and times [] or [b].

        labels: int64 [b] or [b k], None for no label; tokens: int64 [b t], None for no caption; spans: lengths of steps, [] or
        [b] in [0, 1], None for 0.
        """
        embedding = F.silu(self._embedding(noisy, times, labels, tokens, spans))
        features, skips = self._encoded(noisy, embedding)
        for layer in self.up:
            joined = torch.cat([features, skips.pop()], 1) if isinstance(layer, _ResidualBlock) else features
            features = layer(joined, embedding)
        return self.last(features)

    def features(self, noisy: Tensor, times: Tensor, labels: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
        """Return the feature maps of the lowest resolution, before the decoder: [b f h' w'], f the last of `features`."""
        return self._encoded(noisy, F.silu(self._embedding(noisy, times, labels, tokens)))[0]

    def _encoded(self, noisy: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the feature maps of the lowest resolution, and those of the skip connections, the last one first used."""
        features = self.first(noisy)
        skips = [features] if self.config.skips == "all" else []
        for layer in self.down:
            features = layer(features, embedding)
            if self.config.skips == "all" or isinstance(layer, _ResidualBlock):
                skips.append(features)
        for layer in self.middle:
            features = layer(features, embedding)
        return features, skips

    def _embedding(
        self, noisy: Tensor, times: Tensor, labels: Tensor | None, tokens: Tensor | None, spans: Tensor | None = None
    ) -> Tensor:
        """Return the sum of the embeddings of time, label, caption and length of the step [b embedding_dim]."""
        times = times.to(noisy.device).expand(len(noisy))
        embedding: Tensor = self.time(timestep_embedding(times, self.config.features[0]))
        if self.label is not None:
            labels = unknown_labels(len(noisy), self.label_sizes, noisy.device) if labels is None else labels
            embedding = embedding + self.label(labels.to(noisy.device))
        if self.caption is not None:
            tokens = no_captions(len(noisy), noisy.device) if tokens is None else tokens
            embedding = embedding + self.caption(tokens.to(noisy.device))
        if self.span is not None:
            spans = torch.zeros_like(times) if spans is None else spans.to(noisy.device).expand(len(noisy))
            embedding = embedding + self.span(timestep_embedding(spans, self.config.features[0]))
        return embedding


def timestep_embedding(times: Tensor, width: int) -> Tensor:
    """Return the sinusoidal embedding float32 [b width] of times [b] in [0, 1], scaled to steps 0..1000.

    First half sines, second half cosines, of periods 2 pi to 20,000 pi (Vaswani et al. 2017, section 3.5; Ho et al. 2020).
    """
    half = width // 2
    powers = torch.arange(half, dtype=torch.float32, device=times.device) / max(half - 1, 1)
    angles = _TIME_SCALE * times.float()[:, None] * torch.exp(-math.log(_MAX_PERIOD) * powers)
    return F.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width - 2 * half))


class _ResidualBlock(nn.Module):
    """Residual block conditioned on the embedding of time and label, optionally followed by self-attention."""

    def __init__(self, inputs: int, outputs: int, embedding_dim: int, config: UNetConfig, *, attention: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inputs, config.group), nn.SiLU(), SameConv2d(inputs, outputs, 3))
        self.embedding = dense(embedding_dim, outputs)
        last = _zero(SameConv2d(outputs, outputs, 3))
        self.second = nn.Sequential(_norm(outputs, config.group), nn.SiLU(), Dropout(config.dropout), last)
        self.shortcut = nn.Identity() if inputs == outputs else SameConv2d(inputs, outputs, 1)
        self.attention = _SelfAttention(outputs, config.group) if attention else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Return [b outputs h w] for features [b inputs h w] and the embedding [b embedding_dim]."""
        hidden = self.first(features) + self.embedding(embedding)[:, :, None, None]
        return self.attention(self.shortcut(features) + self.second(hidden))


class _SelfAttention(nn.Module):
    """Residual self-attention over all pixels with a single head (Wang et al. 2018)."""

    def __init__(self, features: int, group: int) -> None:
        super().__init__()
        self.norm = _norm(features, group)
        self.qkv = dense(features, 3 * features)
        self.output = _zero(dense(features, features))

    def forward(self, features: Tensor) -> Tensor:
        """Return [b features h w]."""
        height, width = features.shape[2:]
        pixels = self.norm(features).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(pixels).chunk(3, dim=2)
        attended = self.output(F.scaled_dot_product_attention(query, key, value))
        return features + attended.transpose(1, 2).unflatten(2, (height, width))


class _Downsample(nn.Module):
    """Halve height and width, rounded up, by a convolution of stride 2 or by average pooling."""

    def __init__(self, features: int, resampling: Literal["conv", "pool"]) -> None:
        super().__init__()
        pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.layer = SameConv2d(features, features, 3, 2) if resampling == "conv" else pool

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Return [b features ceil(h/2) ceil(w/2)]; the embedding is not used."""
        return self.layer(features)


class _Upsample(nn.Module):
    """Double height and width by nearest-neighbour interpolation, crop to `size`, and apply a convolution if there is one."""

    def __init__(self, features: int, resampling: Literal["conv", "pool"], size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.layer = SameConv2d(features, features, 3) if resampling == "conv" else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Return [b features *size]; the embedding is not used."""
        height, width = self.size
        return self.layer(F.interpolate(features, scale_factor=2, mode="nearest")[:, :, :height, :width])


def _norm(features: int, group: int) -> GroupNorm:
    """Return group normalization with at most 32 groups of, where `features` allows it, at least `group` channels."""
    groups = math.gcd(features, min(_MAX_GROUPS, max(1, features // group)))
    return GroupNorm(groups, features, eps=_EPS)


def _output_layer(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Module:
    """Return the last convolution, zero-initialized; for one output a transposed convolution, which is faster."""
    if outputs == 1:
        return _zero(SameConvTranspose2d(inputs, 1, 3, 1, size))
    return _zero(SameConv2d(inputs, outputs, 3))


def _zero(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
