"""A variance learned between its bounds, and the term of the variational bound that teaches it."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.diffusion.process import like, posterior
from unclip_pipeline.diffusion.schedule import Schedule

BIN = 1 / 255  # half of a pixel level, of a range of 2


def log_variance_of(
    share: Float[Tensor, "b *dims"], t: Int[Tensor, " b"], earlier: Int[Tensor, " b"], schedule: Schedule
) -> Float[Tensor, "b *dims"]:
    """Interpolate between the posterior's variance (-1) and beta (1) (Nichol & Dhariwal, 2021, eq. 15)."""
    bar_t, bar_s = schedule.at(t).double(), schedule.at(earlier).double()
    beta = 1 - bar_t / bar_s
    lower = (beta * (1 - bar_s) / (1 - bar_t)).clamp_min(_least(schedule)).log()
    where = (share.float() + 1) / 2
    return torch.lerp(like(lower.float(), where), like(beta.log().float(), where), where)


def _least(schedule: Schedule) -> float:
    """The posterior variance of step 1; that of step 0 is 0, which has no logarithm."""
    bar_0, bar_1 = schedule.alpha_bar[:2].double().tolist()
    return (1 - bar_1 / bar_0) * (1 - bar_0) / (1 - bar_1)


def variational_bound(
    x_0: Float[Tensor, "b *dims"],
    x_t: Float[Tensor, "b *dims"],
    estimate: Float[Tensor, "b *dims"],
    share: Float[Tensor, "b *dims"],
    t: Int[Tensor, " b"],
    schedule: Schedule,
) -> Float[Tensor, " b"]:
    """The bound's term of step t, in bits a dimension, in float32 (Ho et al., 2020, eq. 5).

    `estimate` is the network's x_0; detach it, so that this teaches the variance alone (Nichol & Dhariwal,
    2021, section 3.1). At t = 0 it is the likelihood of pixels of 256 levels in -1..1.
    """
    earlier = t - 1
    x_0, x_t, estimate = x_0.float(), x_t.float(), estimate.float()
    true_mean, true_variance = posterior(x_0, x_t, t, earlier, schedule)
    mean, _ = posterior(estimate, x_t, t, earlier, schedule)
    log_variance = log_variance_of(share, t, earlier, schedule)
    true_log_variance = like(true_variance.clamp_min(_least(schedule)).log(), x_0).expand_as(x_0)
    divergence = normal_divergence(true_mean, true_log_variance, mean, log_variance)
    surprise = -pixel_log_likelihood(x_0, mean, 0.5 * log_variance)
    at_pixels = (t == 0).view(-1, *[1] * (x_0.ndim - 1))
    nats = torch.where(at_pixels, surprise, divergence)
    return nats.flatten(1).mean(1) / math.log(2)


def normal_divergence(
    mean: Float[Tensor, "b *dims"],
    log_variance: Float[Tensor, "b *dims"],
    other_mean: Float[Tensor, "b *dims"],
    other_log_variance: Float[Tensor, "b *dims"],
) -> Float[Tensor, "b *dims"]:
    """Kullback-Leibler divergence of one normal distribution from another, in nats; best value 0."""
    apart = (mean - other_mean).square() * torch.exp(-other_log_variance)
    wider = log_variance - other_log_variance
    return 0.5 * (wider.exp() - wider - 1 + apart)


def pixel_log_likelihood(
    x: Float[Tensor, "b *dims"], mean: Float[Tensor, "b *dims"], log_deviation: Float[Tensor, "b *dims"]
) -> Float[Tensor, "b *dims"]:
    """Log-probability of the level that x is rounded to; the outermost levels take what lies beyond."""
    scale = torch.exp(-log_deviation)
    below = torch.special.ndtr(scale * (x - BIN - mean))
    above = torch.special.ndtr(scale * (x + BIN - mean))
    below, above = torch.where(x < -0.999, 0.0, below), torch.where(x > 0.999, 1.0, above)
    return (above - below).clamp_min(1e-12).log()
