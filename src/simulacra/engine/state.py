"""The tensors of a training as a checkpoint stores them: groups `model`, `ema` and `optimizers`, each by name.

A training in several processes can have one more, `buffers`, of buffers that differ from those of the first process.
"""

from collections.abc import Mapping

import torch
from safetensors.torch import load as parse_tensors
from torch import Tensor

from simulacra.core.family import Family
from simulacra.engine import optimizers, sharding
from simulacra.engine.distributed.processes import ALONE, Processes
from simulacra.engine.distributed.shared_work import serialized
from simulacra.engine.ema import EMA

MODEL, EMA_GROUP, OPTIMIZERS = "model", "ema", "optimizers"
"""Names of the groups."""
BUFFERS = "buffers"
"""Name of the group of the buffers of other processes than the first, as `rank/buffer`; absent where there are none."""

Groups = Mapping[str, Mapping[str, Tensor]]


def groups(keeps_ema: bool) -> tuple[str, ...]:
    """Return the groups that training needs to continue."""
    return (MODEL, OPTIMIZERS, *((EMA_GROUP,) if keeps_ema else ()))


def evaluated_group(keeps_ema: bool) -> str:
    """Return the group with the weights that are evaluated."""
    return EMA_GROUP if keeps_ema else MODEL


def collect(family: Family, ema: EMA | None, adams: Mapping[str, optimizers.Adam], processes: Processes = ALONE) -> Groups:
    """Return the weights of a family and of its EMA, and the optimizer state of each player as `player/parameter/key`.

    Sharded tensors, and the buffers of all processes, are gathered: all processes must call this together.
    """
    tensors = {MODEL: family.state_dict(), OPTIMIZERS: optimizers.state(family.players(), adams)}
    if ema:
        tensors[EMA_GROUP] = ema.family.state_dict()
    if buffers := _buffers_of_others(family, processes):
        tensors[BUFFERS] = buffers
    return {group: sharding.gathered(named) for group, named in tensors.items()}


@torch.no_grad()
def restore(
    tensors: Groups, family: Family, ema: EMA | None, adams: Mapping[str, optimizers.Adam], processes: Processes = ALONE
) -> None:
    """Copy the tensors that `collect` returned into a family, its EMA and its optimizers, on whichever devices these are."""
    sharding.load(family, tensors[MODEL])
    of_others = tensors.get(BUFFERS, {})
    for name, buffer in family.named_buffers():
        if (value := of_others.get(f"{processes.rank}/{name}")) is not None:
            buffer.copy_(value)
    if ema:
        sharding.load(ema.family, tensors[EMA_GROUP])
    optimizers.restore(family.players(), adams, tensors[OPTIMIZERS])


def _buffers_of_others(family: Family, processes: Processes) -> dict[str, Tensor]:
    """Return the buffers that differ from those of the first process, such as pools of generated images."""
    own = dict(family.named_buffers())
    if processes.count == 1 or not own:
        return {}
    first, *others = [parse_tensors(content) for content in processes.share(lambda: serialized(own))]
    named = ((f"{rank}/{name}", value, first[name]) for rank, held in enumerate(others, 1) for name, value in held.items())
    return {name: value for name, value, reference in named if not torch.equal(value, reference)}
