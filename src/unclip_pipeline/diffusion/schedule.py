"""How much of the data is left at each of T discrete steps."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """`alpha_bar[t]` is the share of the data's variance left at step t = 0..T-1; the rest is noise.

    x_t = alpha(t) x_0 + sigma(t) eps, alpha^2 + sigma^2 = 1. Step -1 stands for clean data.
    """

    alpha_bar: Float[Tensor, " t"]

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def at(self, t: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """`alpha_bar` of each step, 1 for step -1."""
        known = self.alpha_bar.to(t.device)[t.clamp_min(0)]
        return torch.where(t < 0, torch.ones_like(known), known)

    def alpha(self, t: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Factor on x_0."""
        return self.at(t).sqrt()

    def sigma(self, t: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Factor on the noise."""
        return (1 - self.at(t)).sqrt()

    def snr(self, t: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Signal-to-noise ratio alpha^2 / sigma^2."""
        return self.at(t) / (1 - self.at(t))


def schedule_from_betas(betas: Float[Tensor, " t"]) -> Schedule:
    """The schedule whose step t adds noise of variance `betas[t]`."""
    return Schedule((1 - betas.double()).cumprod(0).float())


def cosine_schedule(steps: int = 1_000, *, max_beta: float = 0.999) -> Schedule:
    """The squared cosine of Nichol & Dhariwal (2021, eq. 17), as DALL-E 2 uses it."""
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((share + 0.008) / 1.008 * math.pi / 2).square()
    return schedule_from_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta))


def linear_schedule(steps: int = 1_000) -> Schedule:
    """The straight line of betas of Ho et al. (2020), scaled to the number of steps."""
    scale = 1_000 / steps
    return schedule_from_betas(torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64))


def shifted(schedule: Schedule, factor: float) -> Schedule:
    """Multiply the signal-to-noise ratio of every step by factor^2 (Hoogeboom et al., 2023, section 3.1).

    Below 1 more steps are spent where the picture as a whole is decided.
    """
    snr = schedule.alpha_bar.double() / (1 - schedule.alpha_bar.double()) * factor**2
    return Schedule((snr / (1 + snr)).float())


def named_schedule(name: Literal["cosine", "linear"], steps: int = 1_000, *, shift: float = 1.0) -> Schedule:
    """The schedule a network's configuration names; a shift of 1 changes nothing."""
    schedule = {"cosine": cosine_schedule, "linear": linear_schedule}[name](steps)
    return schedule if shift == 1 else shifted(schedule, shift)


def sampling_steps(schedule: Schedule, count: int) -> Int[Tensor, " s"]:
    """`count` steps from T-1 downwards, evenly spaced, ending above step -1 by one spacing."""
    if not 1 <= count <= len(schedule):
        raise ValueError(f"steps must lie in 1..{len(schedule)}, got {count}")
    return (torch.linspace(len(schedule), 0, count + 1)[:-1].round() - 1).long()
