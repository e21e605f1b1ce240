"""From noise to data: one function per published algorithm, over any denoiser.

`x` starts as standard normal noise; `steps` go down (see `sampling_steps`) and step -1, clean data, is
the end of each. `noise(k)` gives the fresh noise of the k-th step, so that a caller can key it by image.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.diffusion.process import Denoiser, eps_of, like, posterior
from unclip_pipeline.diffusion.schedule import Schedule
from unclip_pipeline.diffusion.variance import log_variance_of

Noise = Callable[[int], Float[Tensor, "b *dims"]]


def ddpm(
    denoise: Denoiser,
    x: Float[Tensor, "b *dims"],
    steps: Int[Tensor, " s"],
    schedule: Schedule,
    *,
    noise: Noise,
) -> Float[Tensor, "b *dims"]:
    """Ancestral sampling (Ho et al., 2020, algorithm 2), with the network's variance where it has one."""
    for k, (t, earlier) in enumerate(_pairs(x, steps)):
        said = denoise(x, t)
        mean, _ = posterior(said.x_0, x, t, earlier, schedule)
        share = said.variance_share if said.variance_share is not None else -torch.ones_like(x)
        log_variance = log_variance_of(share, t, earlier, schedule).to(x)
        x = mean if k == len(steps) - 1 else mean + (0.5 * log_variance).exp() * noise(k)
    return x


def ddim(
    denoise: Denoiser,
    x: Float[Tensor, "b *dims"],
    steps: Int[Tensor, " s"],
    schedule: Schedule,
    *,
    eta: float = 0.0,
    noise: Noise | None = None,
) -> Float[Tensor, "b *dims"]:
    """DDIM (Song et al., 2021, eq. 12); eta 0 is deterministic, eta 1 as noisy as ancestral sampling."""
    if eta and noise is None:
        raise ValueError(f"ddim with eta > 0 adds noise: pass `noise`, got {eta=}")
    for k, (t, earlier) in enumerate(_pairs(x, steps)):
        x_0 = denoise(x, t).x_0
        eps = eps_of(x_0, x, t, schedule)
        spread = eta * posterior(x_0, x, t, earlier, schedule).variance.sqrt()
        onward = (1 - schedule.at(earlier) - spread.square()).clamp_min(0).sqrt()
        x = like(schedule.alpha(earlier), x) * x_0 + like(onward, x) * eps
        if eta and k < len(steps) - 1:
            x = x + like(spread, x) * noise(k)
    return x


def dpm_solver_pp_2m(
    denoise: Denoiser, x: Float[Tensor, "b *dims"], steps: Int[Tensor, " s"], schedule: Schedule
) -> Float[Tensor, "b *dims"]:
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2); the last step is first order, onto x_0."""
    before: tuple[Tensor, Tensor] | None = None  # x_0 and log-SNR of the step before
    for t, earlier in _pairs(x, steps):
        x_0 = denoise(x, t).x_0
        lambda_t = 0.5 * schedule.snr(t).log()
        if (earlier < 0).all():
            return x_0
        h = 0.5 * schedule.snr(earlier).log() - lambda_t
        straight = x_0
        if before is not None:
            ratio = (lambda_t - before[1]) / h
            straight = x_0 + like(0.5 / ratio, x) * (x_0 - before[0])
        shrink = like(schedule.sigma(earlier) / schedule.sigma(t), x)
        x = shrink * x - like(schedule.alpha(earlier) * torch.expm1(-h), x) * straight
        before = (x_0, lambda_t)
    return x


def ddim_inverted(
    denoise: Denoiser, x_0: Float[Tensor, "b *dims"], steps: Int[Tensor, " s"], schedule: Schedule
) -> Float[Tensor, "b *dims"]:
    """The noise from which deterministic `ddim` over the same `steps` leads (nearly) back to `x_0`."""
    x = x_0
    upwards = list(_pairs(x, steps))[::-1]
    for t, earlier in upwards:
        # x_0's estimate barely moves between neighbouring steps: read at the lower, used for the higher
        read_at = earlier.clamp_min(0)
        estimate = denoise(x, read_at).x_0
        eps = eps_of(estimate, x, read_at, schedule)
        x = like(schedule.alpha(t), x) * estimate + like(schedule.sigma(t), x) * eps
    return x


def _pairs(x: Tensor, steps: Int[Tensor, " s"]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each step with the one after it, spread over the batch."""
    ends = [*steps.tolist(), -1]
    for t, earlier in zip(ends[:-1], ends[1:], strict=True):
        if t <= earlier:
            raise ValueError(f"steps must go down to 0 or above, got {steps.tolist()}")
        yield (torch.full((len(x),), t, device=x.device), torch.full((len(x),), earlier, device=x.device))
