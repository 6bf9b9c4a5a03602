"""Settings that all denoising families share."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.networks.unet import UNetConfig


@dataclass(frozen=True)
class DenoisingConfig(Config):
    """Settings that all denoising families share."""

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
    conditional: bool = option(False, "condition on the labels of the images")
    label_dropout: float = option(0.1, "conditional: probability of training on an image without its label", low=0, high=0.9)
    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option("dpmpp-2m", "default sampler")
    sampling_steps: int = option(20, "default number of sampling steps", low=1)
    guidance_scale: float = option(1.0, "conditional: classifier-free guidance scale; 1 disables guidance", low=0)
    eta: float = option(0.0, "ddim: share of fresh noise in each step; 0 is deterministic, 1 ancestral", low=0, high=1)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        if self.guidance_scale != 1 and not self.conditional:
            raise UsageError(f"guidance_scale is {self.guidance_scale}, which needs labels: add --conditional, or leave it at 1")
        if self.conditional and self.label_dropout == 0:
            raise UsageError("label_dropout is 0: a conditional model must also train on images without labels, such as 0.1")
        if self.eta and self.sampler != "ddim":
            raise UsageError(f"eta is {self.eta}, which only sampler 'ddim' has, not {self.sampler!r}: leave it at 0")

    @property
    def shape(self) -> UNetConfig:
        """The settings of the network."""
        return UNetConfig(self.features, self.blocks, self.attention, self.dropout, self.resampling, self.skips, self.group)
