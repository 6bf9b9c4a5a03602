"""Whether translations keep the class of the original image, by a classifier of the target domain."""

from collections.abc import Callable

import torch
from torch import Tensor

from simulacra.core.capabilities import Translates
from simulacra.core.device import model_device
from simulacra.core.family import model_condition
from simulacra.core.progress import Meter
from simulacra.data.dataset import Split, levels
from simulacra.metrics.metric import Measured
from simulacra.metrics.statistics.measurement import fraction_of
from simulacra.metrics.translations.directions import ROUNDED, UNTRANSLATED, Direction, labelled_chunks

Classify = Callable[[Tensor], Tensor]  # from images [b c h w] in [0, 1] of a domain to their classes, int64 [b]


def translation_accuracy(model: Translates, direction: Direction, classify: Classify, real: Split, meter: Meter) -> Measured:
    """Return translation_accuracy_to_TO: the share of translations that a classifier of the domain assigns to the original class.

    In [0, 1]; untranslated_accuracy_to_TO is that of the images without translation, by the same classifier. Errors of the
    classifier count as errors of the model: real images of the domain TO reach `real_against_real` (in the protocol). Intervals
    cover the images. Raises UsageError for images without labels.
    """
    device = model_device(model)
    hits, untranslated = [], []
    for held, labels in labelled_chunks(direction.images, direction.start):
        batch = held.to(device)
        translated = levels(model.translate(batch.images, direction.to, model_condition(model, batch))).cpu()
        hits.append(classify(translated) == labels)
        untranslated.append(classify(held.images) == labels)
        meter.advance(len(held))
    on_real = []
    for held, labels in labelled_chunks(real, direction.to):
        on_real.append(classify(held.images) == labels)
        meter.advance(len(held))
    reached = {"real_against_real": torch.cat(on_real).double().mean().item()}
    return {
        f"translation_accuracy_to_{direction.to}": fraction_of(torch.cat(hits), direction.protocol(ROUNDED) | reached),
        f"untranslated_accuracy_to_{direction.to}": fraction_of(torch.cat(untranslated), direction.protocol(UNTRANSLATED)),
    }
