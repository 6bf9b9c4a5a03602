"""The U-Net of diffusion models (Ho et al. 2020, appendix B), for images of any size, any channels, with or without classes.

Sizes that a halving does not divide are padded inside, as `same` convolutions are, and cropped on the way up.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.networks.kernels.dropout import Dropout
from simulacra.networks.kernels.normalization import GroupNorm
from simulacra.networks.labels import LabelEmbedding, unknown_labels
from simulacra.networks.mlp import dense
from simulacra.networks.same_padding import SameConv2d, SameConvTranspose2d, halved

_GROUPS = 32  # of channels that are normalized together, at most (Ho et al. 2020: of 128 channels)
_EPS = 1e-6  # added to a group's variance
_TIMES = 1000.0  # times in [0, 1] are embedded as the steps 0..1000 of Ho et al.
_SLOWEST = 10_000.0  # the longest period of the embedding (Vaswani et al. 2017, section 3.5)


@dataclass(frozen=True)
class UNetShape:
    """What a U-Net is made of.

    features: feature maps at each resolution, each half of the one before; blocks: residual blocks at each resolution;
    attention: shorter sides in pixels at which pixels attend to each other, besides the smallest, where they always do;
    resampling: convolutions, or pooling and repetition without parameters; skips: what is kept for the way up, all
    feature maps, which takes one block more at each resolution there, or those behind blocks alone; group: channels that are
    normalized together, at least.
    """

    features: tuple[int, ...] = (128, 256, 256, 256)
    blocks: int = 2
    attention: tuple[int, ...] = (16,)
    dropout: float = 0.1
    resampling: Literal["conv", "pool"] = "conv"
    skips: Literal["all", "blocks"] = "all"
    group: int = 4

    def __post_init__(self) -> None:
        if not self.features:
            raise UsageError("features is empty: a U-Net needs at least one number, such as 32,64,64")


class UNet(nn.Module):
    """From noisy images [b c h w], their times [] or [b] in [0, 1] and their classes to `outputs` numbers per pixel.

    With label sizes a label may also be the size itself: no label.
    The last layer begins at zero, and so do the last ones of each block and each attention: an untrained net returns zeros.
    """

    def __init__(self, spec: DataSpec, outputs: int, shape: UNetShape, label_sizes: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.shape, self.label_sizes = shape, label_sizes
        width, bottom = shape.features[0], shape.features[-1]
        self.embedding = 4 * width
        self.time = nn.Sequential(dense(width, self.embedding), nn.SiLU(), dense(self.embedding, self.embedding))
        self.label = LabelEmbedding(label_sizes, self.embedding, unknown=True) if label_sizes else None
        sizes = [(spec.height, spec.width)]
        for _ in shape.features[1:]:
            sizes.append(halved(sizes[-1]))
        self.first = SameConv2d(spec.channels, width, 3)
        kept: list[int] = [width] if shape.skips == "all" else []  # feature maps that wait for the way up
        self.down = self._way_down(sizes, kept)
        self.middle = nn.ModuleList([self._stage(bottom, bottom, attends=attends) for attends in (True, False)])
        self.up = self._way_up(sizes, kept)
        self.last = nn.Sequential(_norm(width, shape.group), nn.SiLU(), _last(width, outputs, sizes[0]))

    def _way_down(self, sizes: list[tuple[int, int]], kept: list[int]) -> nn.ModuleList:
        """Return the blocks and halvings, and add the widths of what they keep for the way up."""
        layers: list[nn.Module] = []
        inputs = self.shape.features[0]
        for place, (width, size) in enumerate(zip(self.shape.features, sizes, strict=True)):
            for _ in range(self.shape.blocks):
                layers.append(self._stage(inputs, width, attends=min(size) in self.shape.attention))
                inputs = width
                kept.append(width)
            if place < len(sizes) - 1:
                layers.append(_Halving(width, self.shape.resampling))
                kept += [width] if self.shape.skips == "all" else []
        return nn.ModuleList(layers)

    def _way_up(self, sizes: list[tuple[int, int]], kept: list[int]) -> nn.ModuleList:
        """Return the blocks and doublings, which use up what was kept."""
        layers: list[nn.Module] = []
        inputs = self.shape.features[-1]
        for place in reversed(range(len(sizes))):
            width = self.shape.features[place]
            for _ in range(self.shape.blocks + (self.shape.skips == "all")):
                layers.append(self._stage(inputs + kept.pop(), width, attends=min(sizes[place]) in self.shape.attention))
                inputs = width
            if place:
                layers.append(_Doubling(width, self.shape.resampling, sizes[place - 1]))
        return nn.ModuleList(layers)

    def _stage(self, inputs: int, outputs: int, *, attends: bool) -> "_Stage":
        return _Stage(inputs, outputs, self.embedding, self.shape, attends=attends)

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return [b outputs h w]; labels: int64 [b], or [b k] for k attributes, or None."""
        condition = F.silu(self._embedded(noisy, times, labels))
        features = self.first(noisy)
        kept = [features] if self.shape.skips == "all" else []
        for layer in self.down:
            features = layer(features, condition)
            if self.shape.skips == "all" or isinstance(layer, _Stage):
                kept.append(features)
        for layer in self.middle:
            features = layer(features, condition)
        for layer in self.up:
            joined = torch.cat([features, kept.pop()], 1) if isinstance(layer, _Stage) else features
            features = layer(joined, condition)
        outputs: Tensor = self.last(features)
        return outputs

    def _embedded(self, noisy: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the network is told of time and class: [b 4*width]."""
        told: Tensor = self.time(sinusoids(times.to(noisy.device).expand(len(noisy)), self.shape.features[0]))
        if self.label is None:
            return told
        if labels is None:
            labels = unknown_labels(len(noisy), self.label_sizes, noisy.device)
        return told + self.label(labels.to(noisy.device))


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Return sines and cosines of times [b] in [0, 1], taken as 0 to 1000, at `width` frequencies: float32 [b width].

    Half of them sines, half cosines, of periods from 2 pi to 20,000 pi (Vaswani et al. 2017, section 3.5; Ho et al. 2020).
    """
    half = width // 2
    powers = torch.arange(half, dtype=torch.float32, device=times.device) / max(half - 1, 1)
    angles = _TIMES * times.float()[:, None] * torch.exp(-math.log(_SLOWEST) * powers)
    return F.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width - 2 * half))


class _Stage(nn.Module):
    """A residual block told of time and class, with attention behind it or without."""

    def __init__(self, inputs: int, outputs: int, embedding: int, shape: UNetShape, *, attends: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(_norm(inputs, shape.group), nn.SiLU(), SameConv2d(inputs, outputs, 3))
        self.told = dense(embedding, outputs)
        last = _zero(SameConv2d(outputs, outputs, 3))
        self.leave = nn.Sequential(_norm(outputs, shape.group), nn.SiLU(), Dropout(shape.dropout), last)
        self.shortcut = nn.Identity() if inputs == outputs else SameConv2d(inputs, outputs, 1)
        self.attention = _Attention(outputs, shape.group) if attends else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return [b outputs h w] of features [b inputs h w] and the condition [b embedding]."""
        changed = self.enter(features) + self.told(condition)[:, :, None, None]
        attended: Tensor = self.attention(self.shortcut(features) + self.leave(changed))
        return attended


class _Attention(nn.Module):
    """Each pixel adds a mean of all pixels, weighed by how they match it (Wang et al. 2018), with a single head."""

    def __init__(self, features: int, group: int) -> None:
        super().__init__()
        self.norm = _norm(features, group)
        self.ask = dense(features, 3 * features)
        self.answer = _zero(dense(features, features))

    def forward(self, features: Tensor) -> Tensor:
        """Return [b features h w]."""
        height, width = features.shape[2:]
        pixels = self.norm(features).flatten(2).transpose(1, 2)
        query, key, value = self.ask(pixels).chunk(3, dim=2)
        answered = self.answer(F.scaled_dot_product_attention(query, key, value))
        return features + answered.transpose(1, 2).unflatten(2, (height, width))


class _Halving(nn.Module):
    """Half the resolution, rounded up."""

    def __init__(self, features: int, resampling: Literal["conv", "pool"]) -> None:
        super().__init__()
        pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.layer = SameConv2d(features, features, 3, 2) if resampling == "conv" else pool

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return [b features ceil(h/2) ceil(w/2)]; the condition changes nothing here."""
        smaller: Tensor = self.layer(features)
        return smaller


class _Doubling(nn.Module):
    """Every pixel four times, cropped to `size`; then a convolution, or nothing."""

    def __init__(self, features: int, resampling: Literal["conv", "pool"], size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.layer = SameConv2d(features, features, 3) if resampling == "conv" else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return [b features *size]; the condition changes nothing here."""
        height, width = self.size
        larger: Tensor = self.layer(F.interpolate(features, scale_factor=2, mode="nearest")[:, :, :height, :width])
        return larger


def _norm(features: int, group: int) -> GroupNorm:
    groups = math.gcd(features, min(_GROUPS, max(1, features // group)))
    return GroupNorm(groups, features, eps=_EPS)


def _last(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Module:
    """Return the convolution to the outputs, zero; a single one is computed as a transposed convolution, which is faster."""
    if outputs == 1:
        return _zero(SameConvTranspose2d(inputs, 1, 3, 1, size))
    return _zero(SameConv2d(inputs, outputs, 3))


def _zero(layer: nn.Module) -> nn.Module:
    """Set a layer's parameters to zero, and return it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
