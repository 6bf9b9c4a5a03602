"""Conditional VAEs, p(image | label) or p(image | caption) (Sohn et al. 2015), and semi-supervised M2 (Kingma et al. 2014)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.capabilities import Classifies, ELBOTerms, LogLikelihood, Posterior
from simulacra.core.condition import UNCONDITIONAL, Condition, require_accepted
from simulacra.core.config import option
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.family import Family, Loss, Turn, training_condition
from simulacra.core.training_facts import TrainingFacts
from simulacra.games.latent_variable import (
    LatentVariableConfig,
    LogLikelihoodGiven,
    PixelDistribution,
    PixelLikelihood,
    estimated_log_likelihood,
    likelihood_for,
)
from simulacra.games.variational import VariationalLatentSpace, drawn, latents_of, posterior_of, relative_to
from simulacra.networks.captions import caption_vocabulary, drop_captions
from simulacra.networks.conditioning import CaptionConditioning, LabelConditioning
from simulacra.networks.encoder_decoder import BY_SIZE, decoder, image_layers
from simulacra.networks.image_classifier import image_classifier
from simulacra.networks.labels import drawn_labels, every_label, label_sizes
from simulacra.networks.mlp import ACTIVATIONS, dense
from simulacra.networks.same_padding import initialize_glorot
from simulacra.objectives.augmentation import translation
from simulacra.objectives.divergence import kl_to_standard_normal
from simulacra.objectives.semi_supervised import unlabelled_bound

_ROWS = 4096 * 784  # pixel values that are decoded together where all labels are tried
_UNKNOWN = -1  # label of an image without one, in training batches


@dataclass(frozen=True)
class CVAEConfig(LatentVariableConfig):
    """Settings of a conditional VAE."""

    activation: Literal["relu", "tanh", "silu"] = option("relu", "activation function of the dense layers")
    particles: int = option(1, "latent samples per image in training", low=1)
    beta: float = option(1.0, "weight of the KL term", low=0)
    prior: Literal["standard", "learned"] = option(
        "standard", "prior of the latents given the label: N(0, 1), or a normal distribution learned for each label or caption"
    )
    captions: bool = option(False, "condition on the captions of the images instead of their labels")
    caption_dropout: float = option(0.1, "captions: probability of training on an image without its caption", low=0, high=0.9)
    semi_supervised: bool = option(False, "M2: add a classifier q(y|x) and train on unlabelled images too (--labels)")
    classification_weight: float = option(10.0, "M2: weight of the classifier's cross-entropy on labelled images", low=0)
    classifier_network: Literal["conv", "dense"] = option("conv", "M2: architecture of the classifier")
    classifier_features: tuple[int, ...] = option(
        (32, 64, 128), "M2, conv: feature maps of the classifier after each downsampling by 2", low=1
    )
    classifier_hidden: tuple[int, ...] = option((128,), "M2: widths of the classifier's dense layers", low=1)
    classifier_shift: float = option(
        0.08, "M2: largest random shift of the classifier's inputs in training, as a share of each side", low=0, high=0.5
    )
    dropout: float = option(0.4, "M2: dropout rate before the classifier's dense layers", low=0, high=0.9)

    def validate(self) -> None:
        """Raise UsageError where settings contradict each other."""
        super().validate()
        if self.semi_supervised and self.captions:
            raise UsageError("semi_supervised and captions are both on, and M2 classifies labels: leave one of them out")
        if self.captions and self.caption_dropout == 0:
            raise UsageError("caption_dropout is 0: a model of captions must also train on images without captions, such as 0.1")


class CVAE(Family, VariationalLatentSpace, PixelLikelihood, Classifies):
    """A latent-variable model p(x|z,y) p(z|y) of images x with labels y, and a diagonal Gaussian posterior q(z|x,y).

    The label is concatenated as scaled one-hot vectors to the latents and to the features of the encoder's convolutions (dense:
    to the pixels). The layer that follows is computed as the sum of its two parts, so that an image is encoded once for all
    labels. Latents are relative to the prior of their label: z = mu_y + sigma_y * latents, so that their prior is N(0, 1) in
    either case, and equal latents of different labels have the same style.

    With captions, the vector of a caption takes the place of the one-hot vectors, and of a label in the above. A missing caption
    has a vector of its own, learned from images whose caption is missing or dropped: what follows is of labels alone.

    Without labels, likelihoods are those of p(x) = sum_y p(y) p(x|y) with uniform p(y), images are encoded with their most
    probable label, `decode` returns the mean over labels, and `generate` draws labels from the noise.
    """

    Config = CVAEConfig
    summary = "a VAE given the label or a caption; with few labels, a semi-supervised classifier (M2)"
    paper = "Sohn et al. 2015; Kingma et al. 2014"
    needs_labels = True
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "conv": {},
        "dense": {"network": "dense", "hidden": (400,), "latent_dim": 20},
        "m2": {"semi_supervised": True, "network": "dense", "hidden": (400,), "latent_dim": 20},
        **BY_SIZE,
    }

    @classmethod
    def settings_for(cls, facts: TrainingFacts) -> Mapping[str, object]:
        """Return the preset of the images' size, a learning rate for a short training, and the likelihood of their pixels."""
        return {**facts.of_size, "lr": 2e-3, **likelihood_for(facts)}

    def __init__(self, config: CVAEConfig, data: DataSpec) -> None:
        super().__init__()
        self.config, self.data, self.latent_dim = config, data, config.latent_dim
        self.label_sizes = sizes = label_sizes(data, not config.captions, remedy="train vae, or add labels")
        self.vocabulary = caption_vocabulary(data, config.captions)
        if config.semi_supervised and len(sizes) > 1:
            several = f"several ({', '.join(attribute.name for attribute in data.attributes)})"
            raise UsageError(f"semi_supervised needs one labelled property, and these images have {several}: leave it out")
        trunk = config.trunk
        self.conditioning = LabelConditioning(sizes) if self.vocabulary is None else CaptionConditioning(self.vocabulary)
        layers, flat = image_layers(data, trunk)
        widths = [*config.hidden, 2 * config.latent_dim]
        self.encoder = nn.Sequential(*layers, dense(flat, widths[0]))
        self.encoder_labels = nn.Linear(self.conditioning.features, widths[0], bias=False)  # or captions
        initialize_glorot(self.encoder_labels)
        deeper = [layer for pair in pairwise(widths) for layer in (ACTIVATIONS[config.activation](), dense(*pair))]
        self.posterior_layers = nn.Sequential(*deeper)
        self.pixels = PixelDistribution(config.likelihood, config.binarize, data.channels, data.dimensions)
        self.decoder = decoder(data, trunk, config.latent_dim + self.conditioning.features, self.pixels.outputs)
        self.log_sigma = self.pixels.new_log_sigma()
        self.label_prior = self.conditioning.affine(2 * config.latent_dim) if config.prior == "learned" else None
        self.classifier = _classifier(config, data) if config.semi_supervised else None

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """A sample of the prior, and one number for each labelled property, which draws a label that is not given."""
        return (self.latent_dim + len(self.label_sizes),)

    @property
    def accepts_unlabelled(self) -> bool:
        """True for the semi-supervised model."""
        return self.classifier is not None

    @property
    def has_classifier(self) -> bool:
        """True for the semi-supervised model."""
        return self.classifier is not None

    def players(self) -> dict[str, nn.Module]:
        """Return one player: all parts minimize the same bound."""
        return {"cvae": self}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the negative bound."""
        return (Turn(self._semi_supervised_loss if self.config.semi_supervised else self._loss),)

    # --- losses

    def _loss(self, batch: Batch) -> dict[str, Loss]:
        """Beta * rate + distortion of log p(x|y) in nats, mean over images; y is a label, or a caption that may be dropped."""
        condition = training_condition(self.accepts, batch)
        require_accepted(self, condition, len(batch))
        if condition.tokens is not None:
            condition = Condition(tokens=drop_captions(condition.tokens, self.config.caption_dropout))
        given = self.conditioning.given(condition, len(batch))
        assert given is not None
        observed = self.observe(batch.images)
        terms = self._terms(observed, self.encoder(observed), given, self.config.particles)
        return {"cvae": Loss((self.config.beta * terms.rate + terms.distortion).mean(), _parts(terms))}

    def _semi_supervised_loss(self, batch: Batch) -> dict[str, Loss]:
        """J = mean L(x, y) + mean U(x) + alpha * mean -log q(y|x), in nats (Kingma et al. 2014, eqs. 6 to 9).

        L = beta * rate + distortion - log p(y) of labelled images, U of images of label -1 (`unlabelled_bound`), the
        cross-entropy of labelled images. The classifier's inputs are shifted at random in training (`classifier_shift`): U is a
        bound for any q(y|x). Each mean is over the images of its kind, not a sum as in the paper, so that the weights
        do not depend on the numbers of images; a kind without images adds nothing.
        """
        labels = training_condition(self.accepts, batch).labels
        assert labels is not None
        known = labels != _UNKNOWN
        require_accepted(self, Condition(labels.where(known, 0)), len(batch))
        observed = self.observe(batch.images)
        features, log_q = self.encoder(observed), self._log_q(self._shifted(observed))
        total, parts = features.new_zeros((), dtype=torch.float32), dict[str, Tensor]()
        if known.any():
            terms = self._terms(observed[known], features[known], labels[known], self.config.particles)
            bound = (self.config.beta * terms.rate + terms.distortion).mean() + self._label_cost
            cross_entropy = F.nll_loss(log_q[known], labels[known])
            total = total + bound + self.config.classification_weight * cross_entropy
            parts |= {**_parts(terms), "classification_nats": cross_entropy}
        if not known.all():
            rate, distortion = self._terms_of_every_label(observed[~known], features[~known], self.config.particles)
            labelled = self.config.beta * rate + distortion + self._label_cost
            unlabelled = unlabelled_bound(log_q[~known], labelled).mean()
            total, parts = total + unlabelled, {**parts, "unlabelled_nats": unlabelled}
        return {"cvae": Loss(total, parts)}

    @property
    def _label_cost(self) -> float:
        """Minus log p(y) in nats: all labels are equally probable."""
        return math.log(math.prod(self.label_sizes))

    # --- capabilities

    def posterior(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Posterior:
        """Return q of the latents given image and label; without labels, given the most probable one."""
        return self._posterior(self.encoder(images), self._given_or_probable(images, condition))

    def decode(self, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the mean image of p(x|z,y); without labels, the mean image of p(x|z), over all labels."""
        require_accepted(self, condition, len(latents))
        if (given := self.conditioning.given(condition, len(latents))) is not None:
            return self.pixels.mean(self._outputs(latents, given))
        labels = (self._repeated(label, latents) for label in every_label(self.label_sizes))
        return torch.stack([self.pixels.mean(self._outputs(latents, each)) for each in labels]).mean(0)

    def reconstruct(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode the posterior mean, with the same label with which it is encoded."""
        given = self._given_or_probable(images, condition)
        return self.pixels.mean(self._outputs(self._posterior(self.encoder(images), given).mean, given))

    def generate(self, noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Decode samples of the prior of each label."""
        require_accepted(self, condition, len(noise))
        latents, labels = drawn_labels(noise, condition.labels, self.label_sizes)
        return self.decode(latents, replace(condition, labels=labels))

    def class_log_probabilities(self, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return log q(y|x) of the classifier; without one, Bayes' rule with the ELBO at posterior means for log p(x|y).

        Raises NotApplicable for a model of captions.
        """
        require_accepted(self, condition, len(images))
        if not self.label_sizes:
            raise NotApplicable("classification is not applicable to this CVAE: it is given captions, and has no labels")
        if self.classifier is not None:
            return self._log_q(images)
        rate, distortion = self._terms_of_every_label(images, self.encoder(images), particles=0)
        return torch.log_softmax(-(rate + distortion), 1)

    def elbo(self, observed: Tensor, condition: Condition = UNCONDITIONAL) -> ELBOTerms:
        """Return the terms of the bound of log p(x|y); without labels, of log p(x) with q(y|x) of `class_log_probabilities`.

        Without labels, the rate includes the KL divergence of q(y|x) from the uniform p(y).
        """
        require_accepted(self, condition, len(observed))
        features = self.encoder(observed)
        if (given := self.conditioning.given(condition, len(observed))) is not None:
            return self._terms(observed, features, given, 1)
        log_q = self.class_log_probabilities(observed)
        rate, distortion = self._terms_of_every_label(observed, features, 1)
        return ELBOTerms(unlabelled_bound(log_q, rate + self._label_cost), (log_q.exp() * distortion).sum(1))

    def log_likelihood(self, observed: Tensor, particles: int, condition: Condition = UNCONDITIONAL) -> LogLikelihood:
        """Importance-weighted bound of log p(x|y) with exactly `particles` samples per image (Burda et al. 2015, eq. 8).

        Without labels, of log p(x) = log sum_y p(y) p(x|y), with as many samples for each label.
        """
        require_accepted(self, condition, len(observed))
        features = self.encoder(observed)

        def estimate(given: Tensor) -> Tensor:
            posterior = self._posterior(features, given)
            return estimated_log_likelihood(self._likelihood(observed, given), posterior, particles, observed.numel())

        if (given := self.conditioning.given(condition, len(observed))) is not None:
            return LogLikelihood(estimate(given), "lower bound")
        joint = torch.stack([estimate(self._repeated(label, observed)) for label in every_label(self.label_sizes)])
        return LogLikelihood(torch.logsumexp(joint, 0) - self._label_cost, "lower bound")

    # --- parts

    def _shifted(self, images: Tensor) -> Tensor:
        """Return the inputs of the classifier: shifted at random in training, in whole pixels with zeros moved in."""
        share = self.config.classifier_shift
        return translation(images, share, padding=0.0) if self.training and share else images

    def _log_q(self, images: Tensor) -> Tensor:
        assert self.classifier is not None
        return torch.log_softmax(self.classifier(images).float(), 1)

    def _given_or_probable(self, images: Tensor, condition: Condition) -> Tensor:
        """Return what is given, with the most probable labels where these are missing."""
        require_accepted(self, condition, len(images))
        if (given := self.conditioning.given(condition, len(images))) is not None:
            return given
        return every_label(self.label_sizes).to(images.device)[self.class_log_probabilities(images).argmax(1)]

    def _repeated(self, label: Tensor, images: Tensor) -> Tensor:
        """Return one label for each of several images."""
        return label.to(images.device).expand(len(images), *label.shape)

    def _posterior(self, features: Tensor, given: Tensor) -> Posterior:
        """Return q of the latents [b d], relative to their prior, for features [b f] of the encoder."""
        joined = features + self.encoder_labels(self.conditioning(given))
        posterior = posterior_of(*self.posterior_layers(joined).chunk(2, 1))
        if self.label_prior is None:
            return posterior
        return relative_to(posterior_of(*self.label_prior(given).chunk(2, 1)), posterior)

    def _outputs(self, latents: Tensor, given: Tensor) -> Tensor:
        """Return the decoder's outputs [b outputs h w], in float32, for latents [b d]."""
        if self.label_prior is not None:
            latents = latents_of(posterior_of(*self.label_prior(given).chunk(2, 1)), latents)
        outputs: Tensor = self.decoder(torch.cat([latents, self.conditioning(given)], 1))
        return outputs.float()

    def _likelihood(self, observed: Tensor, given: Tensor) -> LogLikelihoodGiven:
        """Return the function from latents [k b d] to log p(x|z,y) [k b] of observations [b c h w]."""

        def log_likelihood(latents: Tensor) -> Tensor:
            particles = len(latents)
            outputs = self._outputs(latents.flatten(0, 1), torch.cat([given] * particles))
            repeated = torch.cat([observed] * particles) if particles > 1 else observed
            return self.pixels.log_likelihood(outputs, repeated, self.log_sigma).view(particles, -1)

        return log_likelihood

    def _terms(self, observed: Tensor, features: Tensor, given: Tensor, particles: int) -> ELBOTerms:
        """Return the analytic KL, and the mean distortion at samples of the posterior; 0 particles: at its mean."""
        posterior = self._posterior(features, given)
        latents = drawn(posterior, particles) if particles else posterior.mean[None]
        distortion = -self._likelihood(observed, given)(latents).mean(0)
        return ELBOTerms(kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1), distortion)

    def _terms_of_every_label(self, observed: Tensor, features: Tensor, particles: int) -> tuple[Tensor, Tensor]:
        """Return rate and distortion [b c] of log p(x|y) for each of c labels; decodes several labels in one call."""
        found: list[ELBOTerms] = []
        for group in every_label(self.label_sizes).to(observed.device).split(max(1, _ROWS // observed.numel())):
            count = len(group)
            rows = torch.cat([observed] * count), torch.cat([features] * count), group.repeat_interleave(len(observed), 0)
            found.append(self._terms(*rows, particles))
        rate, distortion = (torch.cat([getattr(terms, name) for terms in found]) for name in ("rate", "distortion"))
        return rate.view(-1, len(observed)).T, distortion.view(-1, len(observed)).T


def _classifier(config: CVAEConfig, data: DataSpec) -> nn.Module:
    features, hidden = config.classifier_features, config.classifier_hidden
    network, activation = config.classifier_network, config.activation
    return image_classifier(
        data, network=network, features=features, hidden=hidden, activation=activation, dropout=config.dropout
    )


def _parts(terms: ELBOTerms) -> dict[str, Tensor]:
    rate, distortion = terms.rate.mean(), terms.distortion.mean()
    return {"negative_elbo_nats": rate + distortion, "rate_nats": rate, "distortion_nats": distortion}
