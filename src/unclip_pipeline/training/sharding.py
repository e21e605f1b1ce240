"""How a model lies over the processes that train it: whole on each (DDP), or in shards (FSDP2)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.nn.parallel import DistributedDataParallel

from unclip_pipeline.training.distributed import share_batch_norms
from unclip_pipeline.training.optim import TrainConfig

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
BESIDE_FORWARD = ("keys_values",)  # what blocks offer to be called beside `forward`


class Objective(nn.Module):
    """A model behind its loss: what is called at every step, whichever parts of the model the loss calls.

    The wrappers of torch act on calls of the module they wrap, and change the names of what is in it; so
    they wrap this, and the model's own names stay.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss, batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float | Tensor]]:
        return loss(self.model, batch, generator)


def spread(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Lay the model over the processes, if there are several, and give what computes its loss."""
    if config.compile:
        for block in repeated_blocks(model):
            block.compile()
    objective = Objective(model)
    if not dist.is_initialized():
        return objective
    share_batch_norms(model)
    if config.sharding == "fsdp":
        return shard(objective)
    return DistributedDataParallel(objective, forward_sync_buffers=False)


def shard(objective: Objective) -> nn.Module:
    """Leave a part of every parameter to each process; blocks are put together while they compute."""
    mesh = init_device_mesh(next(objective.parameters()).device.type, (dist.get_world_size(),))
    for block in repeated_blocks(objective.model):
        fully_shard(block, mesh=mesh)
        for name in BESIDE_FORWARD:
            if hasattr(block, name):
                register_fsdp_forward_method(block, name)
    return fully_shard(objective, mesh=mesh)


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """The outermost modules with layers of their own whose class occurs more than once."""
    counts = Counter(type(module) for module in model.modules())

    def within(module: nn.Module) -> Iterator[nn.Module]:
        for child in module.children():
            if counts[type(child)] > 1 and any(child.children()) and not isinstance(child, CONTAINERS):
                yield child
            else:
                yield from within(child)

    return list(within(model))


@contextmanager
def gradients_shared(objective: nn.Module, now: bool) -> Iterator[None]:
    """Average gradients over the processes at the end of this pass, or let them add up where they are."""
    if isinstance(objective, DistributedDataParallel) and not now:
        with objective.no_sync():
            yield
        return
    if isinstance(objective, FSDPModule):
        objective.set_requires_gradient_sync(now)
    yield
