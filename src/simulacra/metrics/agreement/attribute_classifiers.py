"""Classifiers of single attributes, trained on real images of all combinations."""

from dataclasses import replace
from hashlib import sha256

from simulacra.core.attribute import Attribute
from simulacra.core.batch import DataSpec
from simulacra.data.dataset import Dataset, Split
from simulacra.data.load import load
from simulacra.data.settings import DataConfig
from simulacra.features.extractor import Extractor
from simulacra.features.loading import default_extractor
from simulacra.metrics.context import EvaluationContext

_COLOUR = "lenet_colour"
_SMALL = 32  # pixels of the longer side, at most, for the small network of colour images


def attributes_of(spec: DataSpec) -> tuple[Attribute, ...]:
    """Return the attributes of images; of images with classes only, these as one attribute; empty without labels."""
    return spec.attributes or ((Attribute("class", spec.classes),) if spec.classes else ())


def of_attribute(data: Dataset, at: int) -> Dataset:
    """Return the data set with attribute number `at` as its classes, under a digest and a name of its own."""
    if not data.spec.attributes:
        return data
    attribute = data.spec.attributes[at]
    train, validation, test = (_of_column(split, at) for split in data.splits)
    return replace(
        data,
        name=f"{data.name}-{attribute.name}",
        digest=sha256(f"{data.digest}|{attribute.name}".encode()).hexdigest(),
        spec=replace(data.spec, classes=attribute.values, attributes=()),
        train=train,
        validation=validation,
        test=test,
    )


def attribute_classifiers(context: EvaluationContext) -> list[Extractor]:
    """Return a classifier of each attribute, trained now if it is not cached: on all images of the training split.

    It is trained on the labels of its attribute alone, with the recipe of the feature extractors. Combinations that --hold-out
    leaves out of the training of the model are among its images, so that it can recognize them.
    """
    data = _with_all_combinations(context)
    kind = _kind(data.spec)
    return [context.load_extractor(kind, of_attribute(data, at)) for at in range(len(attributes_of(data.spec)))]


def _of_column(split: Split, at: int) -> Split:
    assert split.labels is not None
    return replace(split, labels=split.labels[:, at])


def _with_all_combinations(context: EvaluationContext) -> Dataset:
    config = context.opened.run.config.data
    if isinstance(config, DataConfig) and config.hold_out:
        return load(replace(config, hold_out=0), context.progress)
    return context.opened.dataset


def _kind(spec: DataSpec) -> str:
    """Return the kind of classifier: `lenet_colour` for small colour images, else the default extractor."""
    return _COLOUR if spec.channels == 3 and max(spec.height, spec.width) <= _SMALL else default_extractor(spec)
