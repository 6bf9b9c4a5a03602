"""Checks that what a model computes is finite."""

from torch import Tensor, nn

from simulacra.core.errors import NonFiniteError

_ADVICE = "The training diverged: train again, with a lower --lr or with --clip, or resume from a copy of an earlier checkpoint"


def require_finite(values: Tensor, what: str) -> Tensor:
    """Return values as they are; raises NonFiniteError where one of them is infinite or NaN. what: their name, in the plural."""
    if not bool(values.isfinite().all()):
        raise NonFiniteError(f"{what} are not finite (infinite or NaN). {_ADVICE}")
    return values


def require_finite_weights(model: nn.Module) -> None:
    """Raise NonFiniteError where weights of a model are infinite or NaN, with the name of the first such tensor."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise NonFiniteError(f"the weights of this {type(model).__name__} are infinite or NaN, first in {name}. {_ADVICE}")
