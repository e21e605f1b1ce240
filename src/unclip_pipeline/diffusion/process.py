"""Noising, the ways to state a prediction, and the posterior. Symbols as in Ho et al. (2020)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.diffusion.schedule import Schedule

Target = Literal["x0", "eps", "v"]


class Denoised(NamedTuple):
    """What a network says about x_t: its estimate of x_0, and optionally of the posterior's variance.

    `variance_share` in -1..1 interpolates the log-variance between its bounds (Nichol & Dhariwal, 2021).
    """

    x_0: Float[Tensor, "b *dims"]
    variance_share: Float[Tensor, "b *dims"] | None = None


Denoiser = Callable[[Float[Tensor, "b *dims"], Int[Tensor, " b"]], Denoised]


class Gaussian(NamedTuple):
    """Mean and variance, the latter one number a sample."""

    mean: Float[Tensor, "b *dims"]
    variance: Float[Tensor, " b"]


def like(values: Float[Tensor, " b"], x: Float[Tensor, "b *dims"]) -> Tensor:
    """Give per-sample values the trailing axes of `x`, to broadcast over it."""
    return values.reshape(-1, *[1] * (x.ndim - 1)).to(x)


def add_noise(
    x_0: Float[Tensor, "b *dims"], eps: Float[Tensor, "b *dims"], t: Int[Tensor, " b"], schedule: Schedule
) -> Float[Tensor, "b *dims"]:
    """Draw x_t ~ q(x_t | x_0) with the noise `eps` (Ho et al., 2020, eq. 4)."""
    return like(schedule.alpha(t), x_0) * x_0 + like(schedule.sigma(t), x_0) * eps


def target_of(
    target: Target,
    x_0: Float[Tensor, "b *dims"],
    eps: Float[Tensor, "b *dims"],
    t: Int[Tensor, " b"],
    schedule: Schedule,
) -> Float[Tensor, "b *dims"]:
    """What a network of this target learns to put out; v = alpha eps - sigma x_0 (Salimans & Ho, 2022)."""
    if target == "x0":
        return x_0
    if target == "eps":
        return eps
    return like(schedule.alpha(t), x_0) * eps - like(schedule.sigma(t), x_0) * x_0


def x_0_of(
    target: Target,
    output: Float[Tensor, "b *dims"],
    x_t: Float[Tensor, "b *dims"],
    t: Int[Tensor, " b"],
    schedule: Schedule,
) -> Float[Tensor, "b *dims"]:
    """The x_0 that a network's output stands for."""
    alpha, sigma = like(schedule.alpha(t), x_t), like(schedule.sigma(t), x_t)
    if target == "x0":
        return output
    if target == "eps":
        return (x_t - sigma * output) / alpha
    return alpha * x_t - sigma * output


def eps_of(
    x_0: Float[Tensor, "b *dims"], x_t: Float[Tensor, "b *dims"], t: Int[Tensor, " b"], schedule: Schedule
) -> Float[Tensor, "b *dims"]:
    """The noise that leads from x_0 to x_t; sigma must not be 0."""
    return (x_t - like(schedule.alpha(t), x_t) * x_0) / like(schedule.sigma(t), x_t)


def posterior(
    x_0: Float[Tensor, "b *dims"],
    x_t: Float[Tensor, "b *dims"],
    t: Int[Tensor, " b"],
    earlier: Int[Tensor, " b"],
    schedule: Schedule,
) -> Gaussian:
    """q(x_s | x_t, x_0) for any earlier step s < t (Ho et al., 2020, eq. 6 and 7, with skipped steps)."""
    bar_t, bar_s = schedule.at(t).double(), schedule.at(earlier).double()
    alpha = bar_t / bar_s
    on_x_0 = bar_s.sqrt() * (1 - alpha) / (1 - bar_t)
    on_x_t = alpha.sqrt() * (1 - bar_s) / (1 - bar_t)
    variance = (1 - alpha) * (1 - bar_s) / (1 - bar_t)
    return Gaussian(like(on_x_0, x_t) * x_0 + like(on_x_t, x_t) * x_t, variance.float())


def min_snr_weight(
    t: Int[Tensor, " b"], schedule: Schedule, *, target: Target, gamma: float = 5.0
) -> Float[Tensor, " b"]:
    """Loss weight that counts no step's x_0 error more than gamma times (Hang et al., 2023)."""
    snr = schedule.snr(t)
    capped = snr.clamp(max=gamma)
    return {"x0": capped, "eps": capped / snr, "v": capped / (snr + 1)}[target]


def random_steps(count: int, schedule: Schedule, generator: torch.Generator) -> Int[Tensor, " b"]:
    """Training steps for a batch: stratified, so that every batch covers the whole schedule evenly."""
    strata = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
    return (strata * (len(schedule) / count)).long().clamp_(max=len(schedule) - 1)
