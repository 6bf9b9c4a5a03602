"""Conditions: everything that a model is given besides noise or an image."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from simulacra.core.errors import UsageError
from simulacra.core.vocabulary import Vocabulary


@dataclass(frozen=True)
class Condition:
    """What a conditional model is given, one row for each image; a field that is None is not given.

    labels: int64 [b], or [b k] for k attributes; image: float [b c h w] in [0, 1], a degraded measurement; known: float
    [b 1 h w], 1 where a pixel of `image` was observed and 0 elsewhere; tokens: int64 [b t], a caption: the numbers of its
    words in a vocabulary, 0 for padding; all padding is no caption.
    """

    labels: Tensor | None = None
    image: Tensor | None = None
    known: Tensor | None = None
    tokens: Tensor | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that are given."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) is not None)

    def to(self, device: torch.device | str) -> "Condition":
        """Return the condition on a device."""
        return self.map(lambda values: values.to(device))

    def __getitem__(self, rows: slice | Tensor) -> "Condition":
        """Return the condition of some of the images."""
        return self.map(lambda values: values[rows])

    def split(self, size: int, count: int) -> list["Condition"]:
        """Return the conditions of `count` images in pieces of `size`; as many empty conditions where nothing is given."""
        return [self[start : start + size] for start in range(0, count, size)]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """Return the condition with `change` applied to every field that is given."""
        return Condition(**{name: change(getattr(self, name)) for name in self.given})


def in_words(names: Iterable[str]) -> str:
    """Return names of fields in words, as in 'labels and captions'.

    >>> in_words({"tokens", "labels"})
    'labels and captions'
    """
    return " and ".join("captions" if name == "tokens" else name for name in sorted(names))


UNCONDITIONAL = Condition()
"""The empty condition."""


class AcceptsCondition:
    """A model as conditions see it: which fields it accepts. Families and capabilities derive from it."""

    label_sizes: tuple[int, ...] = ()
    """Number of values of each labelled property that the model distinguishes; empty for models without labels."""
    vocabulary: Vocabulary | None = None
    """The words of captions that the model knows; None for models without captions."""
    conditional_likelihood: ClassVar[bool] = True
    """Whether latents and likelihoods are those given the condition; where False, metrics compute them without one."""

    @property
    def accepts(self) -> frozenset[str]:
        """Names of the fields of a condition that the model accepts; any other is a usage error."""
        fields = {"labels": bool(self.label_sizes), "tokens": self.vocabulary is not None}
        return frozenset(name for name, accepted in fields.items() if accepted)

    def complete_condition(self, given: Condition, images: Tensor) -> Condition:
        """Return the condition of images [b c h w] with the fields that the model derives from the images themselves.

        By default there are none. A model of degraded images derives these, as a deterministic function of each image.
        """
        return given


def require_accepted(model: AcceptsCondition, condition: Condition, rows: int | None = None) -> None:
    """Raise UsageError for a field that the model does not accept, or of a wrong type, range or number of rows."""
    for name in condition.given:
        if name not in model.accepts:
            accepted = ", ".join(sorted(model.accepts)) or "no condition"
            raise UsageError(f"this {type(model).__name__} takes no {name}: it accepts {accepted}")
        if rows is not None and len(getattr(condition, name)) != rows:
            raise UsageError(f"{name} are given for {len(getattr(condition, name))} images, expected {rows}")
    if condition.labels is not None:
        _require_labels(condition.labels, model.label_sizes)
    if condition.tokens is not None and model.vocabulary is not None:
        _require_tokens(condition.tokens, model.vocabulary)


def _require_labels(labels: Tensor, sizes: tuple[int, ...]) -> None:
    shape = "[n]" if len(sizes) == 1 else f"[n {len(sizes)}]"
    columns = labels[:, None] if labels.ndim == 1 else labels
    if labels.dtype != torch.int64 or labels.ndim != 1 + (len(sizes) > 1) or columns.shape[1] != len(sizes):
        raise UsageError(f"labels are {labels.dtype} {list(labels.shape)}, expected torch.int64 {shape}")
    for column, size in zip(columns.T, sizes, strict=True):
        if len(column) and not 0 <= int(column.min()) <= int(column.max()) < size:
            raise UsageError(f"labels run from {int(column.min())} to {int(column.max())}, expected 0 to {size - 1}")


def _require_tokens(tokens: Tensor, vocabulary: Vocabulary) -> None:
    longest, words = vocabulary.longest, len(vocabulary.words)
    if tokens.dtype != torch.int64 or tokens.ndim != 2 or tokens.shape[1] > longest:
        raise UsageError(f"tokens are {tokens.dtype} {list(tokens.shape)}, expected torch.int64 [n t] with t at most {longest}")
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) <= words:
        raise UsageError(f"tokens run from {int(tokens.min())} to {int(tokens.max())}, expected 0 to {words}")
