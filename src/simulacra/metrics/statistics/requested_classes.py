"""Whether a model generates images of requested classes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulacra.metrics.context import EvaluationContext


def unconditional(context: "EvaluationContext") -> str:
    """Return why metrics of requested classes do not apply, empty for a conditional model."""
    return "" if context.classes else "the model is unconditional (see --conditional of 'simulacra train')"
