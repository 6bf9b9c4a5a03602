"""Compares the tensors of a checkpoint with those of a family: the same names, the same shapes."""

from collections.abc import Mapping

from torch import Tensor

from simulacra.core.family import Family
from simulacra.engine.state import OPTIMIZERS


def incompatibility(tensors: Mapping[str, Mapping[str, Tensor]], family: Family, groups: tuple[str, ...]) -> str:
    """Return the first difference between groups of a checkpoint and a family; empty if the groups can be loaded."""
    for group in groups:
        if group not in tensors:
            return f"it has no group '{group}'"
        if found := (_compare_optimizers if group == OPTIMIZERS else _compare_weights)(tensors[group], family):
            return f"its '{group}' {found}"
    return ""


def _compare_weights(stored: Mapping[str, Tensor], family: Family) -> str:
    own = family.state_dict()
    if missing := own.keys() - stored.keys():
        return f"lacks {min(missing)}"
    if foreign := stored.keys() - own.keys():
        return f"has {min(foreign)}, which is not in the model"
    return next((_shapes(name, stored[name], own[name]) for name in own if stored[name].shape != own[name].shape), "")


def _compare_optimizers(stored: Mapping[str, Tensor], family: Family) -> str:
    """Compare optimizer state, `player/parameter/key`; a scalar such as the step count is always compatible."""
    own = {f"{player}/{name}": value for player, module in family.players().items() for name, value in module.named_parameters()}
    for full_name, tensor in stored.items():
        name = full_name.rpartition("/")[0]
        if name not in own:
            return f"has {full_name}, whose parameter is not in the model"
        if tensor.ndim and tensor.shape != own[name].shape:
            return _shapes(full_name, tensor, own[name])
    return ""


def _shapes(name: str, stored: Tensor, own: Tensor) -> str:
    return f"has {name} of shape {list(stored.shape)}, and the model expects {list(own.shape)}"
