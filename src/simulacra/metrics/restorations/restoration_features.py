"""Distance of restorations to the original images in the feature space of an extractor."""

import torch
import torch.nn.functional as F
from torch import Tensor

from simulacra.core.capabilities import Restores
from simulacra.core.errors import DataError
from simulacra.data.dataset import levels
from simulacra.features.extractor import Extractor
from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.metric import Metric, MetricResults, Quantity
from simulacra.metrics.restorations.options import (
    degrader_of,
    restoration_cost,
    restoration_protocol,
    restored_count,
    undegraded,
)
from simulacra.metrics.statistics.measurement import mean_of
from simulacra.runs.image_to_image.restoration import RestorationRequest, drawn_chunks


def feature_distance(extractor: Extractor, images: Tensor, references: Tensor) -> Tensor:
    """Return the squared distance of unit features of each image [n c h w] and its reference: float64 [n], in 0 to 4.

    |f(x) / |f(x)| - f(y) / |f(y)||^2, with the features f of the extractor's last layer, a sum over features. It is the idea of
    LPIPS (Zhang et al. 2018, eq. 1) without its learned weights and with one layer instead of five: not LPIPS.
    """
    ours, theirs = (F.normalize(extractor.features(each).double(), dim=1) for each in (images, references))
    return (ours - theirs).square().sum(1)


def _measure(context: EvaluationContext) -> MetricResults:
    extractor, found = context.extractor, []
    if context.opened.spec.channels not in (1, 3):
        raise DataError(f"images have {context.opened.spec.channels} channels, expected 1 or 3 for a feature extractor")
    request = RestorationRequest(degrader_of(context), 1, context.settings.seed)
    for chunk in drawn_chunks(context.opened, context.split, restored_count(context), request, context.progress):
        found.append(feature_distance(extractor, levels(chunk.draws[:, 0]), chunk.images))
    facts = {"images": "the first draw of each image, rounded to 256 levels", "features": "of unit length"}
    measured = mean_of(torch.cat(found), facts).under({**extractor.protocol, **restoration_protocol(context)})
    return MetricResults({"restoration_feature_distance": measured})


METRIC = Metric(
    name="restoration_features",
    quantities=(
        Quantity(
            "restoration_feature_distance",
            "restoration, distance in features",
            "smaller",
            "Squared distance of the unit features of a restoration and of its original, mean over images; not LPIPS.",
        ),
    ),
    needs=(Restores,),
    order=66,
    cost=lambda context: restoration_cost(context, 1),
    images=restored_count,
    measure=_measure,
    shared=False,
    settings=("seed", "degradation", "restoration_images", "extractor", "extractor_seed"),
    not_applicable=undegraded,
    details=frozenset({"plan"}),
)
