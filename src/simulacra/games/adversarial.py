"""Adversarial training of a generator and a discriminator (Goodfellow et al. 2014)."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch
from simulacra.core.capabilities import HasDiscriminator, Samples
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import Config, option
from simulacra.core.errors import UsageError
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.core.training_facts import TrainingFacts
from simulacra.networks.adversarial import Discriminator, Generator, spectrally_normalized
from simulacra.networks.labels import drawn_labels
from simulacra.objectives.adversarial import ADVERSARIAL_LOSSES, check_smoothing, discriminator_statistics
from simulacra.objectives.augmentation import AUGMENTATIONS, augment, parse_augmentations
from simulacra.objectives.gradient_penalty import zero_centered_penalty

_FEW = 10_000  # images below which a discriminator memorizes them without augmentation


def augmentation_for(facts: TrainingFacts) -> dict[str, object]:
    """Return the setting of augmentations for small data sets, none for larger ones (Zhao et al. 2020, section 4.2)."""
    names = "color,translation,cutout" if facts.photographs else "translation"
    return {"augment": names} if facts.images < _FEW else {}


@dataclass(frozen=True)
class AdversarialConfig(Config):
    """Settings that all adversarial games share."""

    loss: Literal["non-saturating", "saturating", "hinge", "least-squares", "wasserstein"] = option(
        "non-saturating", "adversarial loss; saturating is the minimax loss of Goodfellow et al. 2014"
    )
    smoothing: float = option(0.0, "one-sided label smoothing: targets of real images are 1 minus this", low=0, high=0.5)
    r1: float = option(0.0, "weight (gamma) of the R1 penalty on the discriminator's gradient at real images", low=0)
    spectral_norm: bool = option(False, "spectral normalization of the discriminator's weights")
    augment: str = option("", f"augmentations of real and generated images, comma-separated: {', '.join(AUGMENTATIONS)}")
    pack: int = option(1, "PacGAN: number of images that the discriminator classifies jointly", low=1)
    simultaneous: bool = option(False, "update both networks on the same generated images, in one generator pass per step")
    conditional: bool = option(False, "condition on the labels of the images")

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        parse_augmentations(self.augment)
        check_smoothing(self.loss, self.smoothing)
        if self.loss == "wasserstein" and not (self.spectral_norm or self.r1):
            raise UsageError("loss 'wasserstein' needs a Lipschitz discriminator: add --spectral-norm, or use wgan_gp")
        if self.pack > 1 and self.conditional:
            raise UsageError(f"pack is {self.pack} and conditional is on: images classified jointly would need one label")


class SamplesFromGenerator(Samples):
    """Generates images in one evaluation of a generator, of given labels or of labels drawn from the noise."""

    generator: nn.Module
    noise: int
    """Dimensions of the generator's noise."""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Dimensions of the generator's noise, and one number for each label."""
        return (self.noise + len(self.label_sizes),)

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return images [b c h w] in [0, 1]."""
        require_accepted(self, condition, len(noise))
        noise, labels = drawn_labels(noise, condition.labels, self.label_sizes)
        return self.generator(noise, replace(condition, labels=labels))

    def _fakes(self, batch: Batch, condition: Condition) -> Tensor:
        return self.generator(torch.randn(len(batch), self.noise, device=batch.images.device), condition)


class AdversarialGame(Family, SamplesFromGenerator, HasDiscriminator):
    """Two players, a generator and a discriminator. The constructor of a family creates the networks.

    generator(noise [b d], condition) -> images float32 [b c h w] in [0, 1]
    discriminator(images [b c*pack h w], condition) -> logits float32 [b], larger for images classified as real.
    """

    discriminator: Discriminator
    config: AdversarialConfig

    def set_networks(self, layers: nn.Module, body: nn.Sequential, head: nn.Linear) -> None:
        """Create the generator from its layers, and the discriminator from its body and head, by `config` and `label_sizes`."""
        self.generator = Generator(layers, self.label_sizes)
        self.discriminator = Discriminator(body, head, self.label_sizes)
        if self.config.spectral_norm:
            spectrally_normalized(self.discriminator)

    def players(self) -> dict[str, nn.Module]:
        """Return the discriminator and the generator."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        """Return the turns of the discriminator and the generator (Goodfellow et al. 2014, algorithm 1), or one of both."""
        if self.config.simultaneous:
            return (Turn(self._both),)
        return (Turn(self._discriminate), Turn(self._generate))

    def discriminator_features(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return features [b f] of images; images classified jointly (PacGAN) are copies of one."""
        require_accepted(self, condition, len(images))
        return self.discriminator.body(images.repeat(1, self.config.pack, 1, 1)).flatten(1).float()

    def _discriminate(self, batch: Batch) -> dict[str, Loss]:
        condition = training_condition(self.accepts, batch)
        with torch.no_grad():  # trap 6: the generator needs no graph here
            fakes = self._fakes(batch, condition)
        return {"discriminator": self._discriminator_loss(batch, condition, self.discriminator(self._inputs(fakes), condition))}

    def _generate(self, batch: Batch) -> dict[str, Loss]:
        condition = training_condition(self.accepts, batch)
        return {"generator": self._generator_loss(self.discriminator(self._inputs(self._fakes(batch, condition)), condition))}

    def _both(self, batch: Batch) -> dict[str, Loss]:
        """Both losses on the same generated images; the engine differentiates each with respect to its own player."""
        condition = training_condition(self.accepts, batch)
        fake = self.discriminator(self._inputs(self._fakes(batch, condition)), condition)
        return {"discriminator": self._discriminator_loss(batch, condition, fake), "generator": self._generator_loss(fake)}

    def _discriminator_loss(self, batch: Batch, condition: Condition, fake: Tensor) -> Loss:
        criterion = ADVERSARIAL_LOSSES[self.config.loss]
        inputs = self._inputs(batch.images)
        real = self.discriminator(inputs, condition)
        total = criterion.discriminator(real, fake, self.config.smoothing)
        parts = discriminator_statistics(real, fake, criterion.boundary, criterion.saturation_logit)
        if self.config.r1:
            parts["r1"] = zero_centered_penalty(lambda points: self.discriminator(points, condition), inputs)
            total = total + self.config.r1 * parts["r1"]
        return Loss(total, parts)

    def _generator_loss(self, fake: Tensor) -> Loss:
        return Loss(ADVERSARIAL_LOSSES[self.config.loss].generator(fake))

    def _inputs(self, images: Tensor) -> Tensor:
        return packed(augment(images, parse_augmentations(self.config.augment)), self.config.pack)


def packed(images: Tensor, count: int) -> Tensor:
    """Return images [b c h w] in packs of `count`, concatenated along channels: [ceil(b / count) count*c h w] (Lin et al. 2017).

    An incomplete last pack is filled with the first images of the batch.
    """
    if count == 1:
        return images
    packs = -(-len(images) // count)
    order = torch.arange(packs * count, device=images.device) % len(images)
    return images[order].unflatten(0, (packs, count)).flatten(1, 2)
