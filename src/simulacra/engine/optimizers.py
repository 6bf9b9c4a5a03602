"""Adam with fused kernels: one optimizer per player, with named state that can be stored and restored."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from simulacra.engine.settings import TrainConfig
from simulacra.engine.sharding import fill, local

_EPS = 1e-8
_FIRST, _SECOND, _STEP = "exp_avg", "exp_avg_sq", "step"


class Adam:
    """Adam (Kingma & Ba 2014) or, with decoupled weight decay, AdamW (Loshchilov & Hutter 2017), by PyTorch's fused kernels.

    The same bits as `torch.optim.Adam(fused=True)`, without importing torch._dynamo, which takes 70 MiB and a second. state: of
    each updated parameter, on its device, the moving averages of its gradient and squared gradient, and its number of steps.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], settings: TrainConfig) -> None:
        self.parameters, self.settings = list(parameters), settings
        self.rate = settings.lr
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        updated = [parameter for parameter in self.parameters if parameter.grad is not None]
        if not updated:
            return
        self.state |= {parameter: self._initialize(parameter) for parameter in updated if parameter not in self.state}
        states = [self.state[parameter] for parameter in updated]
        steps = [state[_STEP] for state in states]
        torch._foreach_add_(steps, 1)
        settings = self.settings
        kernel = torch._fused_adamw_ if settings.optimizer == "adamw" else torch._fused_adam_
        gradients = [local(parameter.grad) for parameter in updated if parameter.grad is not None]
        first, second = ([local(state[name]) for state in states] for name in (_FIRST, _SECOND))
        rates = (self.rate, settings.beta1, settings.beta2, settings.weight_decay, _EPS)
        options: dict[str, Any] = dict(zip(("lr", "beta1", "beta2", "weight_decay", "eps"), rates, strict=True))
        values = [local(parameter) for parameter in updated]
        kernel(values, gradients, first, second, [], steps, **options, amsgrad=False, maximize=False)

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def _initialize(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        count = torch.zeros((), dtype=torch.float32, device=parameter.device)
        return {_STEP: count, **{name: torch.zeros_like(parameter.detach()) for name in (_FIRST, _SECOND)}}


def parameters(player: nn.Module) -> list[nn.Parameter]:
    """Return a player's trainable parameters."""
    return [parameter for parameter in player.parameters() if parameter.requires_grad]


def state(players: Mapping[str, nn.Module], adams: Mapping[str, Adam]) -> dict[str, Tensor]:
    """Return the state of the optimizers as tensors named `player/parameter/key`."""
    return {
        f"{name}/{key}": value
        for name, (parameter, adam) in _owned(players, adams).items()
        for key, value in adam.state.get(parameter, {}).items()
    }


def restore(players: Mapping[str, nn.Module], adams: Mapping[str, Adam], tensors: Mapping[str, Tensor]) -> None:
    """Restore what `state` returned, on the device and in the memory layout of each parameter."""
    owned = _owned(players, adams)
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter, adam = owned[name]
        value = torch.empty_like(tensor, device=parameter.device) if key == _STEP else torch.empty_like(parameter.detach())
        fill(value, tensor)
        adam.state.setdefault(parameter, {})[key] = value


def _owned(players: Mapping[str, nn.Module], adams: Mapping[str, Adam]) -> dict[str, tuple[nn.Parameter, Adam]]:
    named = ((player, *pair) for player, module in players.items() for pair in module.named_parameters())
    return {f"{player}/{name}": (parameter, adams[player]) for player, name, parameter in named}
