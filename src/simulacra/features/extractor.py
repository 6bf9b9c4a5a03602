"""Feature extractors: networks with fixed weights, identified by the digest of these weights.

A network has one input size and number of channels. Other images are converted by a fixed rule, which is part of the protocol of
each number measured with it: grey is repeated along channels, colours become grey by Rec. 601 (0.299 R + 0.587 G + 0.114 B), and
other sizes are resized without preserving the aspect ratio, so that nothing is cropped.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.device import images_per_call
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import eval_mode
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split
from simulacra.engine.distributed.shared_work import chunks_of, in_parts

_REC_601 = (0.299, 0.587, 0.114)


class Network(nn.Module, ABC):
    """A network with a hidden layer of features. One network is one file in `features/networks/`; the file name is its name."""

    summary: ClassVar[str]
    paper: ClassVar[str]
    title: ClassVar[str]  # name in results, with the number of features: LeNet-128
    dimensions: ClassVar[int]  # number of features of an image, d
    channels: ClassVar[int]
    side: ClassVar[int]  # height and width of its input, in pixels
    batch_cpu: ClassVar[int] = 500  # images per call on CPUs
    antialias: ClassVar[bool] = True  # whether downsampling uses antialiasing (bilinear in either case)

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Return features [b d] of images [b channels side side] in [0, 1]."""

    def adapt(self, images: Tensor) -> Tensor:
        """Return images [b c h w] in [0, 1] as [b channels side side], converted by the rule in the docstring of this module."""
        if images.shape[1] != self.channels:
            images = _recolour(images, self.channels)
        if images.shape[2:] == (self.side, self.side):
            return images
        return F.interpolate(images, (self.side, self.side), mode="bilinear", align_corners=False, antialias=self.antialias)

    def images_per_call(self, device: torch.device) -> int:
        """Return the number of images per call on a device."""
        return images_per_call(device, self.channels * self.side**2, self.batch_cpu)

    @classmethod
    def facts(cls) -> dict[str, Any]:
        """Return title, number of features and conversion of images, ready for JSON."""
        return {"title": cls.title, "dimensions": cls.dimensions, "input": cls.rule()}

    @classmethod
    def rule(cls) -> str:
        """Return the conversion of images, in words."""
        kind = "grey" if cls.channels == 1 else "colour"
        return f"{cls.side}x{cls.side} {kind}, resized bilinearly {'with' if cls.antialias else 'without'} antialiasing"


class Classifier(Network):
    """A network that is trained to classify a data set; its features are the inputs of the last layer."""

    defaults: ClassVar[Mapping[str, object]]  # training settings that differ from the engine's defaults
    images: ClassVar[int]  # number of training images, with repetition
    example: ClassVar[str]  # a suitable data set with classes, named in the error for data without classes
    mirrors: ClassVar[bool]  # whether reflected training images keep their class, unlike digits and letters

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(self.dimensions, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [b classes] of images [b channels side side] in [0, 1]."""
        logits: Tensor = self.head(self.embed(images))
        return logits


@dataclass(frozen=True)
class Embedding:
    """Features float32 [n d] of images, and predicted classes int64 [n] where the network is a classifier."""

    features: Tensor
    predictions: Tensor | None


def joined(found: Sequence[Embedding]) -> Embedding:
    """Return the features and predictions of several sets of images as one."""
    predictions = [item.predictions for item in found if item.predictions is not None]
    return Embedding(torch.cat([item.features for item in found]), torch.cat(predictions) if predictions else None)


@dataclass(frozen=True)
class Extractor:
    """A network with weights.

    name: as in `--extractor`; digest: sha256 of the weights, in hex; classes: the predicted classes, empty where the network is
    no classifier; facts: origin of the weights, ready for JSON.
    """

    name: str
    network: Network
    digest: str
    classes: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Name in protocols: network, number of features, first digits of the digest, such as LeNet-128 sha256:1234abcd."""
        return f"{self.network.title} sha256:{self.digest[:8]}"

    @property
    def protocol(self) -> dict[str, Any]:
        """Facts in the protocol of each number measured with this extractor, ready for JSON."""
        seed = {"extractor_seed": self.facts["seed"]} if "seed" in self.facts else {}
        rule = {"extractor_input": self.network.rule()}
        return {"extractor": self.label, "extractor_name": self.name, **seed, "extractor_sha256": self.digest, **rule}

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    def features(self, images: Tensor) -> Tensor:
        """Return features float32 [b d] of images float [b c h w] in [0, 1]; each depends on its image alone."""
        with self._frozen():
            return self.network.embed(self._adapted(images)).float().cpu()

    def logits(self, images: Tensor) -> Tensor:
        """Return logits float32 [b classes]; raises UsageError where the network is no classifier."""
        with self._frozen():
            return self._classifier().forward(self._adapted(images)).float().cpu()

    def predictions(self, images: Tensor) -> Tensor:
        """Return the most probable class of each image, int64 [b]; raises UsageError where the network is no classifier."""
        return self.logits(images).argmax(1)

    def embed(self, images: Split | Tensor, meter: Meter) -> Embedding:
        """Return features and predictions of a split, or of images float [n c h w] in [0, 1], on the CPU.

        Processes that share work share the images.
        """

        def embedded(chunk: range) -> dict[str, Tensor]:
            rows = images[chunk.start : chunk.stop]
            with self._frozen():
                features = self.network.embed(self._adapted(rows if isinstance(rows, Tensor) else rows.head(len(rows)).images))
                predictions = {"predictions": self._classifier().head(features).argmax(1).cpu()} if self.classes else {}
            return {"features": features.float().cpu(), **predictions}

        found = []
        for chunk, part in in_parts(chunks_of(len(images), self.network.images_per_call(self.device)), embedded):
            found.append(Embedding(part["features"], part.get("predictions")))
            meter.advance(len(chunk))
        return joined(found)

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """Compute in evaluation mode and without gradients; not in inference mode, so that features can be trained on."""
        with eval_mode(self.network), torch.no_grad():
            yield

    def _adapted(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            kind = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise UsageError(f"images are {kind}, expected floats [n c h w] in [0, 1] with 1 or 3 channels")
        return self.network.adapt(images.to(self.device, torch.float32))

    def _classifier(self) -> Classifier:
        if self.classes and isinstance(self.network, Classifier):
            return self.network
        raise UsageError(f"{self.name} is no classifier: use an extractor that is trained on labelled data, such as lenet")


def _recolour(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    return (images * images.new_tensor(_REC_601)[:, None, None]).sum(1, keepdim=True)
