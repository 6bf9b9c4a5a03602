"""Settings that all denoising families share."""

from dataclasses import dataclass
from typing import Literal

from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.networks.unet import UNetShape


@dataclass(frozen=True)
class DenoisingConfig(Config):
    """Settings that all denoising families share."""

    features: tuple[int, ...] = option((32, 64, 64), "feature maps of the U-Net at each resolution, halved in between", low=1)
    blocks: int = option(1, "residual blocks at each resolution", low=1)
    attention: tuple[int, ...] = option((), "sides in pixels at which pixels attend to each other; the smallest does", low=1)
    dropout: float = option(0.0, "dropout within the residual blocks", low=0, high=0.9)
    resampling: Literal["conv", "pool"] = option("pool", "resolutions change by convolutions, or without parameters")
    skips: Literal["all", "blocks"] = option("blocks", "what the way up is given: all feature maps, or those behind blocks")
    group: int = option(16, "channels normalized together, at least; processors are slower with fewer than 16", low=1)
    conditional: bool = option(False, "condition on the labels of the images")
    label_dropout: float = option(0.1, "conditional: share of images learned without their class", low=0, high=0.9)
    sampler: Literal["dpmpp-2m", "ddim", "heun", "euler", "ancestral"] = option(
        "dpmpp-2m", "how noise becomes images, unless 'simulacra sample' is told otherwise"
    )
    sampling_steps: int = option(20, "in how many steps", low=1)
    guidance_scale: float = option(1.0, "conditional: classifier-free guidance scale; 1 disables guidance", low=0)
    eta: float = option(0.0, "ddim: share of fresh noise in each step", low=0, high=1)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        if self.guidance_scale != 1 and not self.conditional:
            raise UsageError(f"guidance_scale is {self.guidance_scale}, which needs classes: add --conditional, or leave it at 1")
        if self.conditional and self.label_dropout == 0:
            raise UsageError("label_dropout is 0: a conditional model must learn images without their class, too, such as 0.1")
        if self.eta and self.sampler != "ddim":
            raise UsageError(f"eta is {self.eta}, which sampler 'ddim' takes, and {self.sampler!r} does not: leave it at 0")

    @property
    def shape(self) -> UNetShape:
        """The shape of the network."""
        return UNetShape(self.features, self.blocks, self.attention, self.dropout, self.resampling, self.skips, self.group)
