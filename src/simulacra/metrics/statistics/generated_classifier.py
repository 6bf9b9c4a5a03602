"""Accuracy on real images of a classifier that is trained on generated images only."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.engine.hardware import keep_memory
from simulacra.features.classifier import ClassifierObserver, classifier_trainer, correct, recipe, trained, training_meter
from simulacra.features.training import trainable
from simulacra.metrics.statistics.measurement import Measurement, mean_of


def classifier_accuracy(
    generated: Iterable[tuple[Tensor, Tensor]],
    test: Split,
    kind: str,
    *,
    overrides: Mapping[str, object] | None = None,
    progress: Progress = SILENT,
) -> Measurement:
    """Return cas_accuracy: the accuracy on real images, in [0, 1], of a classifier trained on generated images only.

    (Ravuri & Vinyals 2019.) An upper bound is the accuracy of the same classifier trained on real images. The classifier is a new
    one of the architecture `kind`, with the EMA weights of its last step: nothing is chosen on the real images.

    generated: chunks of images float [b c h w] in [0, 1], which are rounded to 256 levels like real images and held as bytes,
    with their requested classes int64 [b]; test: real, labelled images; overrides: settings of the training (`duration`, `seed`),
    by the names of TrainConfig. Raises UsageError for images and labels of different numbers or wrong types.
    """
    split, classes = _split(generated, test)
    settings = recipe(trainable(kind), len(split), overrides or {})
    keep_memory()
    with stream(settings.seed, "initialize"):
        trainer = classifier_trainer(trainable(kind), split, classes, settings)
        with training_meter(trainer, "training on generated images", progress) as meter:
            trainer.run(ClassifierObserver(meter))
    with progress.task("classifying real images", len(test), "images") as meter:
        hits = correct(trained(trainer), test, meter)
    training = f"{trainer.images:,} training images with repetition, batch {settings.batch}, the recipe of the extractor"
    protocol = {"classifier": trained(trainer).title, "trained_on": f"{len(split):,} generated images", "training": training}
    return mean_of(hits, {**protocol, "seed": settings.seed, "split": test.name})


def _split(generated: Iterable[tuple[Tensor, Tensor]], test: Split) -> tuple[Split, int]:
    """Return generated images as a labelled split of uint8 after checks, and the number of classes of both sets together."""
    real = test.class_labels
    if real is None or len(test) == 0:
        raise UsageError("the accuracy of a classifier needs real images with labels, and there are none")
    parts = [(_bytes(images, labels), labels.to("cpu", torch.int64)) for images, labels in generated]
    pixels, classes = (torch.cat(side).numpy() for side in zip(*parts, strict=True))
    return Split("train", pixels, classes), 1 + max(int(classes.max()), int(real.max()))


def _bytes(images: Tensor, labels: Tensor) -> Tensor:
    """Return images as uint8 [b h w c] on the CPU; raises UsageError for wrong images or labels."""
    if images.ndim != 4 or labels.shape != (len(images),) or len(images) == 0 or labels.is_floating_point():
        got = f"images {list(images.shape)} and labels {list(labels.shape)}"
        raise UsageError(f"got {got}, expected floats [n c h w] and integers [n]")
    if not bool(((images >= 0) & (images <= 1)).all()) or int(labels.min()) < 0:
        raise UsageError("generated images must be in [0, 1], and their labels at least 0")
    return (images.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()
