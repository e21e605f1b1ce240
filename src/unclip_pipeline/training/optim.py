"""Muon on hidden matrices, fused AdamW on the rest, one schedule for both."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unclip_pipeline.training.devices import Precision, fast_dtype
from unclip_pipeline.training.distributed import laid_like, whole

# Quintic Newton-Schulz coefficients with the steepest slope at zero (Keller Jordan, 2024, "Muon").
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
Sharding = Literal["none", "fsdp"]
MATRIX_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.MultiheadAttention)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run; images seen are the clock of every duration."""

    images: int  # images seen when training ends
    batch_size: int = 64
    learning_rate: float = 1e-3  # AdamW: embeddings, norms, biases, first and last layers
    muon_learning_rate: float = 0.02  # Muon: hidden matrices and convolutions
    weight_decay: float = 0.0
    muon: bool = True  # off: AdamW trains every parameter, as published
    adam_epsilon: float = 1e-8
    adam_beta2: float = 0.99  # short runs: 0.999 remembers a thousand steps, more than some have
    warmup_images: int = 1_000
    ema_decay: float = 0.999  # approached as (1 + step) / (10 + step)
    gradient_clip: float = 1.0
    precision: Precision = "auto"  # bfloat16 products where the hardware has them
    checkpoint_images: int = 0  # images between two saved states; 0 saves none
    preview_images: int = 0  # images between two looks at the average while training; 0: only at the end
    # Parts of a batch, each with noise of its own: over processes, then in turn. 0: one part a process
    micro_batches: int = 0
    # What follows changes rounding (and, compiled, which units dropout drops), no more: a run, which is known
    # by its `repr`, may go on with another choice
    sharding: Sharding = field(default="none", repr=False)  # "fsdp": each process keeps a part of the weights
    compile: bool = field(default=False, repr=False)  # the model's blocks, by torch.compile; for GPUs

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.images < self.batch_size:
            raise ValueError(
                f"images must hold at least one batch of batch_size >= 1, got {self.images=} and "
                f"{self.batch_size=}; raise images or lower batch_size"
            )
        if min(self.learning_rate, self.muon_learning_rate, self.gradient_clip) <= 0:
            raise ValueError(
                "learning_rate, muon_learning_rate and gradient_clip must be above 0, got "
                f"{self.learning_rate}, {self.muon_learning_rate}, {self.gradient_clip}"
            )
        if not 0 <= self.ema_decay < 1 or not 0 <= self.adam_beta2 < 1:
            raise ValueError(
                f"ema_decay and adam_beta2 must lie in [0, 1), got {self.ema_decay=}, {self.adam_beta2=}"
            )
        for name, choices in {"precision": get_args(Precision), "sharding": get_args(Sharding)}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        if self.micro_batches < 0 or self.batch_size % max(self.micro_batches, 1):
            raise ValueError(
                "batch_size must be a multiple of micro_batches, got "
                f"{self.batch_size=} and {self.micro_batches=}; change either"
            )
        if not 0 <= self.warmup_images < self.images or min(self.checkpoint_images, self.preview_images) < 0:
            raise ValueError(
                "warmup_images must lie in [0, images), checkpoint_images and preview_images must not be "
                f"negative, got {self.warmup_images=}, {self.images=}, {self.checkpoint_images=}, "
                f"{self.preview_images=}"
            )


@dataclass(frozen=True, kw_only=True)
class PairsTraining(TrainConfig):
    """One training run on the dataset version."""

    mixed_shards: int = 0  # shards drawn from at a time, for a version larger than its cache; 0: all
    reading_threads: int = field(default=0, repr=False)  # that read ahead; 0: one a core beyond the first

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.mixed_shards, self.reading_threads) < 0:
            raise ValueError(
                "mixed_shards and reading_threads must not be negative, got "
                f"{self.mixed_shards=}, {self.reading_threads=}"
            )


@dataclass(frozen=True, kw_only=True)
class UnetTraining(PairsTraining):
    """One training run of a network that draws."""

    gradient_checkpointing: bool = False  # recompute blocks backwards: less memory, more time


def learning_rate_share(images_seen: int, config: TrainConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine to 0 at `config.images`."""
    warm = min(1.0, (images_seen + config.batch_size) / max(config.warmup_images, 1))
    done = max(0, images_seen - config.warmup_images) / max(config.images - config.warmup_images, 1)
    return warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def orthogonalised(matrices: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """Nearest semi-orthogonal matrices, roughly: all singular values end within about [0.7, 1.2]."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan, 2024), for parameters of two dimensions or more.

    `torch.optim.Muon` takes 2-D parameters only and always multiplies in bfloat16, which is slow on CPUs
    without its instructions. Here convolutions count as (out, in * kernel) matrices, `dtype` is that of
    the products, and equal shapes share one batched product. Of a sharded model every process keeps its
    part of the momentum, puts the update together, and takes its part of what comes out.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim < 2:
                raise ValueError(f"Muon needs matrices, got a parameter of shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for same_shape in _by_matrix_shape(group["params"]):
                self._step_together(same_shape, group)

    def _step_together(self, parameters: list[nn.Parameter], group: dict) -> None:
        momentum = group["momentum"]
        updates = []
        for parameter in parameters:
            state, gradient = self.state[parameter], parameter.grad
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - momentum)
            update = gradient.lerp(state["momentum"], momentum)  # Nesterov
            updates.append(whole(update).flatten(1))
        stacked = orthogonalised(torch.stack(updates).to(self.dtype)).to(updates[0].dtype)
        scale = math.sqrt(max(1.0, stacked.shape[-2] / stacked.shape[-1]))
        for parameter, update in zip(parameters, stacked, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            own = laid_like(update.reshape(parameter.shape), parameter)
            parameter.add_(own, alpha=-group["lr"] * scale)


def _by_matrix_shape(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    groups: dict[tuple[int, int], list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            groups.setdefault((parameter.shape[0], math.prod(parameter.shape[1:])), []).append(parameter)
    return list(groups.values())


def hidden_matrices(model: nn.Module, *, exclude: Collection[str] = ()) -> frozenset[str]:
    """Names of the parameters Muon should train: matrices of linear, convolution and attention layers.

    Embeddings, norms and biases are never among them. `exclude` takes shell patterns of names, for the
    layers that touch data or outputs ("visual.conv1.*").
    """
    names = {
        f"{prefix}.{name}" if prefix else name
        for prefix, layer in model.named_modules()
        if isinstance(layer, MATRIX_LAYERS)
        for name, parameter in layer.named_parameters(recurse=False)
        if parameter.ndim >= 2
    }
    return frozenset(name for name in names if not any(fnmatch(name, pattern) for pattern in exclude))


def muon_matrices(model: nn.Module, config: TrainConfig, *, exclude: Collection[str] = ()) -> frozenset[str]:
    """Names of the parameters Muon trains in a run: the hidden matrices, or none."""
    return hidden_matrices(model, exclude=exclude) if config.muon else frozenset()


def make_optimizers(
    model: nn.Module, config: TrainConfig, *, muon: Collection[str]
) -> dict[str, torch.optim.Optimizer]:
    """Muon for the parameters named in `muon`, fused AdamW for all others; frozen ones are left out."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if unknown := sorted(set(muon) - set(dict(model.named_parameters()))):
        raise ValueError(f"muon names parameters the model does not have: {unknown[:3]}")
    matrices = [p for name, p in trained.items() if name in muon]
    others = {name: p for name, p in trained.items() if name not in muon}
    optimizers: dict[str, torch.optim.Optimizer] = {}
    if matrices:
        optimizers["muon"] = Muon(
            matrices,
            lr=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            dtype=fast_dtype(matrices[0].device, config.precision),
        )
    if others:
        groups = [
            {"params": [p for p in others.values() if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in others.values() if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizers["adamw"] = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=(0.9, config.adam_beta2),
            eps=config.adam_epsilon,
            fused=True,
        )
    return optimizers


def set_learning_rates(
    optimizers: dict[str, torch.optim.Optimizer], config: TrainConfig, *, images_seen: int
) -> None:
    """Set every group's learning rate to its peak times the share due at `images_seen`."""
    peaks = {"muon": config.muon_learning_rate, "adamw": config.learning_rate}
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = peaks[name] * learning_rate_share(images_seen, config)
