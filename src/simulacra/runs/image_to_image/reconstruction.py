"""Reconstructions of images, also as another class of a conditional model."""

from dataclasses import replace

import torch
from torch import Tensor

from simulacra.core.capabilities import Classifies, Reconstructs, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.networks.labels import every_label
from simulacra.runs.latent_space import decode, encode
from simulacra.runs.opened import OpenedRun, check_images


def reconstruct(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL, *, label: str | None = None) -> Tensor:
    """Return the reconstructions of images [n c h w] in [0, 1]; raises NotApplicable, UsageError for another shape.

    label: decode with this label instead, as `OpenedRun.label_condition` parses it. condition: the labels with which images are
    encoded; without labels, a model that classifies images encodes them with their most probable ones.
    """
    if label is not None:
        return _render(opened, images, condition, opened.label_condition(label, len(images)))
    model = require(opened.model, Reconstructs, "reconstruction")
    return opened.apply(model.reconstruct, check_images(images, opened.spec), condition=condition)


def render_classes(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return images [n c h w] decoded with every class, [classes n c h w]: every value of the first attribute where several.

    The other attributes are those with which an image is encoded. Raises NotApplicable, UsageError.
    """
    if not opened.model.label_sizes:
        opened.label_condition("", len(images))  # raises NotApplicable, in words
    own = _own_labels(opened, images, condition)
    rendered = []
    for value in range(opened.model.label_sizes[0]):
        labels = torch.full((len(images),), value)
        if opened.spec.attributes:
            if own.labels is None:
                raise UsageError("images without labels cannot keep their other attributes: give a label for each of them")
            labels = own.labels.clone()
            labels[:, 0] = value
        rendered.append(_render(opened, images, own, Condition(labels)))
    return torch.stack(rendered)


def _render(opened: OpenedRun, images: Tensor, condition: Condition, wanted: Condition) -> Tensor:
    """Return images decoded with the wanted labels from the latents that they have with their own."""
    return decode(opened, encode(opened, images, _own_labels(opened, images, condition)), wanted)


def _own_labels(opened: OpenedRun, images: Tensor, condition: Condition) -> Condition:
    """Return the condition with which images are encoded: their labels, or the most probable ones where the model classifies."""
    model = opened.model
    if condition.labels is not None or not isinstance(model, Classifies) or not model.label_sizes:
        return condition
    probabilities = opened.apply(model.class_log_probabilities, check_images(images, opened.spec), condition=condition)
    return replace(condition, labels=every_label(model.label_sizes)[probabilities.argmax(1)])
