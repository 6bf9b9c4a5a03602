"""Whether the tensors of a checkpoint are those of a family: the same names, the same shapes."""

from collections.abc import Mapping

from torch import Tensor

from simulacra.core.family import Family

_OF_THE_FAMILY = ("model", "average")


def incompatibility(tensors: Mapping[str, Mapping[str, Tensor]], family: Family, groups: tuple[str, ...]) -> str:
    """Return the first thing that keeps the groups of a checkpoint from being put into a family; empty where they fit."""
    for group in groups:
        if group not in tensors:
            return f"it holds no '{group}'"
        differs = _of_family if group in _OF_THE_FAMILY else _of_optimizers
        if found := differs(tensors[group], family):
            return f"its '{group}' {found}"
    return ""


def _of_family(stored: Mapping[str, Tensor], family: Family) -> str:
    own = family.state_dict()
    if missing := own.keys() - stored.keys():
        return f"lacks {min(missing)}"
    if foreign := stored.keys() - own.keys():
        return f"has {min(foreign)}, which the model has not"
    return next((_shapes(name, stored[name], own[name]) for name in own if stored[name].shape != own[name].shape), "")


def _of_optimizers(stored: Mapping[str, Tensor], family: Family) -> str:
    """Compare the state of optimizers, `player/parameter/key`; a single number such as the count of steps fits always."""
    players = family.players().items()
    own = {f"{player}/{name}": parameter for player, module in players for name, parameter in module.named_parameters()}
    for full_name, tensor in stored.items():
        name = full_name.rpartition("/")[0]
        if name not in own:
            return f"has {full_name}, whose parameter the model has not"
        if tensor.ndim and tensor.shape != own[name].shape:
            return _shapes(full_name, tensor, own[name])
    return ""


def _shapes(name: str, stored: Tensor, own: Tensor) -> str:
    return f"has {name} of shape {list(stored.shape)}, and the model wants {list(own.shape)}"
