"""Networks with the encoder of a model: fine-tuning, training without pretraining, and self-training with pseudo-labels."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.classification.augmentation import random_transform
from simulacra.classification.classifier import Classifier
from simulacra.classification.representation import features_of
from simulacra.core.batch import Batch
from simulacra.core.batch_source import BatchSource
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import Family, Loss, Turn
from simulacra.core.progress import Meter
from simulacra.core.randomness import stream
from simulacra.data.semi_supervised import UNKNOWN
from simulacra.engine.loop import Observer, Trainer
from simulacra.engine.settings import TrainConfig
from simulacra.runs.opened import OpenedRun

BATCH = 128
THRESHOLD = 0.95
"""Least probability of a pseudo-label that is used (Sohn et al. 2020, section 4)."""

_TRAINING: Mapping[str, Any] = {"optimizer": "adam", "lr": 1e-3, "schedule": "cosine", "warmup": 0.02, "ema": 0.99}
_CHUNK = 500  # images per call


class EncoderClassifier(nn.Module):
    """The encoder of a generative model, a batch normalization of its features without parameters, and a linear layer."""

    def __init__(self, model: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.model = model.requires_grad_(True)
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float32 [b classes] of images [b c h w] in [0, 1]."""
        logits: Tensor = self.head(self.norm(features_of(self.model, images)))
        return logits.float()

    def features(self, images: Tensor, device: torch.device) -> Tensor:
        """Return the features float32 [n d] of images [n c h w], standardized by statistics of training, on the CPU."""
        self.to(device)
        with inference_mode(self):
            return torch.cat([self.norm(features_of(self.model, part.to(device))).cpu() for part in images.split(_CHUNK)])


def new_network(opened: OpenedRun, classes: int, seed: int, *, pretrained: bool) -> EncoderClassifier:
    """Return a network with the weights of the run, or with random ones; other weights are drawn from the seed's stream."""
    with stream(seed, "classifier"):
        model = opened.run.config.new_family(opened.spec)
        if pretrained:
            model.load_state_dict(opened.model.state_dict())
        model.eval()
        with torch.inference_mode():
            width = features_of(model, torch.zeros(2, *opened.spec.shape)).shape[1]
        return EncoderClassifier(model, width, classes)


class NetworkClassifier(Classifier):
    """A trained network as a classifier of images [n c h w]."""

    def __init__(self, network: EncoderClassifier, device: torch.device) -> None:
        self.network, self._device = network.to(device).eval().requires_grad_(False), device

    def decision_function(self, features: Tensor) -> Tensor:
        """Return the logits of the network for images."""
        with inference_mode(self.network):
            parts = [self.network(part.to(self._device)).double().cpu() for part in features.split(_CHUNK)]
        return torch.cat(parts)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The weights."""
        return {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}


class SelfTraining(Family):
    """The game of one network on labelled images and on images of label -1, which receive pseudo-labels."""

    summary, paper = "classifies images with few labels", "Lee 2013; Sohn et al. 2020"

    def __init__(self, network: EncoderClassifier, mirror: bool) -> None:
        super().__init__()
        self.network, self.mirror = network, mirror

    def players(self) -> dict[str, nn.Module]:
        """Return one player: the whole network."""
        return {"classifier": self.network}

    def turns(self) -> tuple[Turn, ...]:
        """Return one turn: the cross-entropies."""
        return (Turn(self._losses),)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        """Cross-entropy of transformed images in nats: the mean over labelled images, plus that over unlabelled ones.

        The pseudo-label of an unlabelled image is the most probable class of the image without a transform; where its
        probability is below 0.95, the cross-entropy counts as 0 (Sohn et al. 2020, eqs. 3 and 4, with weight 1).
        """
        assert batch.labels is not None
        known = batch.labels != UNKNOWN
        targets, weights = batch.labels, known.float() / known.sum().clamp(min=1)
        parts = dict[str, Tensor]()
        if not known.all():
            with torch.no_grad():
                confidence, guessed = torch.softmax(self.network(batch.images[~known]), 1).max(1)
            used = (confidence >= THRESHOLD).float()
            targets = targets.clone()
            targets[~known] = guessed
            weights[~known] = used / len(used)
            parts["pseudo_labelled_share"] = used.mean()
        logits = self.network(random_transform(batch.images, self.mirror))
        losses = F.cross_entropy(logits, targets, reduction="none")
        return {"classifier": Loss((weights * losses).sum(), parts)}


class _Meter(Observer):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def on_step(self, trainer: Trainer) -> None:
        """Advance by one step."""
        self._meter.advance(1)


def train_network(  # noqa: PLR0917
    opened: OpenedRun, network: EncoderClassifier, source: BatchSource, steps: int, seed: int, meter: Meter
) -> EncoderClassifier:
    """Return the network trained for a fixed number of steps: the moving average of its weights at the end, nothing is chosen.

    source: batches of images with labels, -1 where an image has none. Adam with a peak learning rate of 1e-3, warm-up and cosine
    decay, and an EMA of 0.99.
    """
    settings = TrainConfig.of(
        {**_TRAINING, "duration": str(steps), "batch": source.size, "seed": seed, "device": opened.device.type, "snapshots": 1},
        "the settings of the classifier",
    )
    game = SelfTraining(network.requires_grad_(True), opened.run.config.data.flip)
    with stream(seed, "classifier training"):
        trainer = Trainer(game, source, settings)
        trainer.run(_Meter(meter))
    trained = trainer.evaluated
    assert isinstance(trained, SelfTraining)
    return trained.network
