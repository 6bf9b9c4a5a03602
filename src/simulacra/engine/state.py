"""The tensors of a training as a checkpoint stores them: groups `model`, `ema` and `optimizers`, each by name."""

from collections.abc import Mapping

from torch import Tensor

from simulacra.core.family import Family
from simulacra.engine import optimizers, sharding
from simulacra.engine.ema import EMA

MODEL, EMA_GROUP, OPTIMIZERS = "model", "ema", "optimizers"
"""Names of the groups."""

Groups = Mapping[str, Mapping[str, Tensor]]


def groups(keeps_ema: bool) -> tuple[str, ...]:
    """Return the groups that training needs to continue."""
    return (MODEL, OPTIMIZERS, *((EMA_GROUP,) if keeps_ema else ()))


def evaluated_group(keeps_ema: bool) -> str:
    """Return the group with the weights that are evaluated."""
    return EMA_GROUP if keeps_ema else MODEL


def collect(family: Family, ema: EMA | None, adams: Mapping[str, optimizers.Adam]) -> Groups:
    """Return the weights of a family and of its EMA, and the optimizer state of each player as `player/parameter/key`.

    Sharded tensors are gathered: all processes must call this together.
    """
    tensors = {MODEL: family.state_dict(), OPTIMIZERS: optimizers.state(family.players(), adams)}
    if ema:
        tensors[EMA_GROUP] = ema.family.state_dict()
    return {group: sharding.gathered(named) for group, named in tensors.items()}


def restore(tensors: Groups, family: Family, ema: EMA | None, adams: Mapping[str, optimizers.Adam]) -> None:
    """Copy the tensors that `collect` returned into a family, its EMA and its optimizers, on whichever devices these are."""
    sharding.load(family, tensors[MODEL])
    if ema:
        sharding.load(ema.family, tensors[EMA_GROUP])
    optimizers.restore(family.players(), adams, tensors[OPTIMIZERS])
