"""Classification accuracy score: how well a classifier that has seen generated images only tells real ones."""

from collections.abc import Mapping

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.progress import SILENT, Progress
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.engine.hardware import keep_memory
from simulacra.features.classifier import Watch, in_training, meter_of, recipe, told_right, trained
from simulacra.features.training import trainable
from simulacra.metrics.measurement import Measurement, mean_of


def classifier_accuracy(
    images: Tensor,
    labels: Tensor,
    test: Split,
    kind: str,
    *,
    overrides: Mapping[str, object] | None = None,
    progress: Progress = SILENT,
) -> Measurement:
    """Measure cas_accuracy: the share of real images, in [0, 1], that a classifier trained on generated ones tells right.

    (Ravuri & Vinyals 2019.) Larger is better; the same measured with real training images is its ceiling. The classifier is a
    new one of the architecture `kind`, with its last averaged weights: nothing is chosen on the real images.

    images: generated, float [n c h w] in [0, 1], rounded to 256 levels as real ones are; labels: int64 [n], the classes that
    were asked for; test: real, labelled images; overrides: of the training (`duration`, `seed`), by the names of TrainConfig.
    Raises UsageError for images and labels that do not fit together.
    """
    generated, classes = _split(images, labels, test)
    settings = recipe(trainable(kind), len(generated), overrides or {})
    keep_memory()
    with stream(settings.seed, "initialize"):
        trainer = in_training(trainable(kind), generated, classes, settings)
        with meter_of(trainer, "training on generated images", progress) as meter:
            trainer.run(Watch(meter))
    with progress.task("telling real images", len(test), "images") as meter:
        right = told_right(trained(trainer), test, meter)
    protocol = {
        "classifier": trained(trainer).title,
        "trained_on": f"{len(generated):,} generated images",
        "training": f"{trainer.images:,} images seen, batch {settings.batch}, the recipe of the extractor",
        "seed": settings.seed,
        "split": test.name,
    }
    return mean_of(right, protocol)


def _split(images: Tensor, labels: Tensor, test: Split) -> tuple[Split, int]:
    """Return generated images as a labelled split of uint8, checked, and the number of classes of both sides together."""
    if test.labels is None or len(test) == 0:
        raise UsageError("the real images have no labels, or there are none: the accuracy of a classifier needs both")
    if images.ndim != 4 or labels.shape != (len(images),) or len(images) == 0 or labels.is_floating_point():
        got = f"images {list(images.shape)} and labels {list(labels.shape)}"
        raise UsageError(f"{got} do not fit together: expected floats [n c h w] and whole numbers [n]")
    if not bool(((images >= 0) & (images <= 1)).all()) or int(labels.min()) < 0:
        raise UsageError("generated images must be in [0, 1], and their labels at least 0")
    levels = (images.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    classes = 1 + max(int(labels.max()), int(test.labels.max()))
    return Split("train", levels.cpu().contiguous().numpy(), labels.to("cpu", torch.int64).numpy()), classes
