"""Exponential moving average of a model's weights."""

import copy

import torch
from torch import nn


def ema_copy(model: nn.Module) -> nn.Module:
    """A frozen copy of the model, in evaluation mode, to be moved by `ema_update`."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def ema_decay_at(step: int, ema_decay: float) -> float:
    """Decay after `step` updates: it grows as (1 + step) / (10 + step), so early weights fade soon."""
    return min(ema_decay, (1 + step) / (10 + step))


@torch.no_grad()
def ema_update(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model; buffers (running statistics, constants) are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
    for average, buffer in zip(ema.buffers(), model.buffers(), strict=True):
        average.copy_(buffer)
