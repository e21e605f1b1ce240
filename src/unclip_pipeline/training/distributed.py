"""Several processes at one training, as torchrun starts them; in a process of its own none of this does a thing.

The processes share every batch. One of them, the main process, speaks for all: it alone draws previews,
writes files and logs. The others take part in every step and leave when training ends.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # the others wait while the main process draws previews or decodes pictures
_left: list[dist.ProcessGroup] = []


def is_launched() -> bool:
    """Tell whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_main_process() -> bool:
    """Tell whether this process writes files and logs."""
    return not is_launched() or int(os.environ["RANK"]) == 0


def processes() -> int:
    """Count the processes that train together."""
    return int(os.environ["WORLD_SIZE"]) if is_launched() else 1


def rank() -> int:
    """Number this process among those that train together."""
    return int(os.environ["RANK"]) if is_launched() else 0


def join() -> None:
    """Meet the other processes, on the GPU that torchrun gives to this one; the second call does nothing."""
    if not is_launched() or dist.is_initialized():
        return
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Part from the other processes, once all of them are here.

    The group is not freed before the process ends. DDP, which would free it last, does so under Python's
    lock and waits for the group's threads, which may be waiting for that lock.
    """
    if dist.is_initialized():
        dist.barrier()
        _left.append(dist.group.WORLD)
        dist.destroy_process_group()


def from_main(make: Callable[[], T]) -> T:
    """Let the main process make a value, and give it to every process."""
    join()
    if not dist.is_initialized():
        return make()
    box = [make() if is_main_process() else None]
    dist.broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]


def of_all(value: T) -> list[T]:
    """Collect the values of all processes, in the order of their numbers."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def mean_of_all(numbers: dict[str, float]) -> dict[str, float]:
    """Average numbers of the same names over the processes."""
    if not dist.is_initialized():
        return numbers
    total = torch.tensor(list(numbers.values()), dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(numbers, (total / dist.get_world_size()).tolist(), strict=True))


def any_of_all(flag: bool) -> bool:
    """Tell whether the flag is set in any process."""
    return mean_of_all({"flag": float(flag)})["flag"] > 0


def same_in_all(model: nn.Module) -> None:
    """Give every process the main process's weights."""
    if dist.is_initialized():
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, as each of their losses reads it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def gathered(rows: Float[Tensor, "b d"]) -> Float[Tensor, "n d"]:
    """Put the rows of all processes together, in their order; gradients find their way back."""
    if not dist.is_initialized():
        return rows
    size, place = dist.get_world_size(), dist.get_rank()
    before, after = place * len(rows), (size - 1 - place) * len(rows)
    return _Sum.apply(nn.functional.pad(rows, (0, 0, before, after)))


def whole(tensor: Tensor) -> Tensor:
    """The tensor with all its shards put together, on every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_like(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, if `like` is sharded."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


class SharedBatchNorm(_BatchNorm):
    """Batch norm by mean and variance of the whole batch, wherever its rows are.

    `torch.nn.SyncBatchNorm` is the same on GPUs and refuses CPUs.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Float[Tensor, "b c *dims"]) -> Float[Tensor, "b c *dims"]:
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        size, shape = dist.get_world_size(), [1, -1] + [1] * (input.ndim - 2)
        axes = [0, *range(2, input.ndim)]
        x = input.float()
        mean = _Sum.apply(x.mean(axes)) / size
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().mean(axes)) / size
        count = size * input.numel() / input.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt() * self.weight
        return torch.addcmul(self.bias.view(shape), centred, scale.view(shape)).to(input.dtype)


def share_batch_norms(model: nn.Module) -> None:
    """Let every batch norm see the whole batch; names and weights stay."""
    for layer in model.modules():
        for name, child in layer.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(layer, name, _shared(child))


def _shared(norm: _BatchNorm) -> SharedBatchNorm:
    shared = SharedBatchNorm(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    shared._parameters, shared._buffers = norm._parameters, norm._buffers
    return shared.train(norm.training)
