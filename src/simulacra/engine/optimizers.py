"""One optimizer per player, with state that can be named, stored and put back."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from simulacra.engine.settings import TrainConfig
from simulacra.engine.sharding import fill


def build(player: nn.Module, settings: TrainConfig) -> torch.optim.Adam:
    """Return the optimizer of one player's trainable parameters (Kingma & Ba 2014; Loshchilov & Hutter 2017)."""
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(
        parameters(player),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def parameters(player: nn.Module) -> list[nn.Parameter]:
    """Return a player's trainable parameters."""
    return [parameter for parameter in player.parameters() if parameter.requires_grad]


def state(player: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors named `parameter/key`."""
    return {
        f"{name}/{key}": value
        for name, parameter in player.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(player: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state` returned, in the memory layout of each parameter."""
    named = dict(player.named_parameters())
    for full_name, tensor in tensors.items():
        name, key = full_name.rsplit("/", 1)
        parameter = named[name]
        is_moment = tensor.shape == parameter.shape and key != "step"
        value = torch.empty_like(parameter.detach()) if is_moment else torch.empty_like(tensor, device=parameter.device)
        fill(value, tensor)
        optimizer.state[parameter][key] = value
