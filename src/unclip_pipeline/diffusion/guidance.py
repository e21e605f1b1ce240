"""Wrappers around denoisers: guidance and thresholding. Neither touches a predicted variance."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unclip_pipeline.diffusion.process import Denoised, Denoiser, like


def guided(conditional: Denoiser, unconditional: Denoiser, scale: float) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans, 2021); scale 1 is the conditional model itself.

    Extrapolating x_0 equals extrapolating eps or v, all being affine in x_0 at a given x_t.
    The variance is the conditional model's.
    """
    if scale == 1.0:
        return conditional

    def denoise(x_t: Float[Tensor, "b *dims"], t: Int[Tensor, " b"]) -> Denoised:
        with_condition, without = conditional(x_t, t), unconditional(x_t, t)
        return with_condition._replace(x_0=torch.lerp(without.x_0, with_condition.x_0, scale))

    return denoise


def clipped(denoise: Denoiser, limit: float = 1.0) -> Denoiser:
    """Static thresholding: hold x_0 within -limit..limit."""

    def clip(x_t: Float[Tensor, "b *dims"], t: Int[Tensor, " b"]) -> Denoised:
        said = denoise(x_t, t)
        return said._replace(x_0=said.x_0.clamp(-limit, limit))

    return clip


def dynamically_clipped(denoise: Denoiser, quantile: float = 0.995) -> Denoiser:
    """Dynamic thresholding (Saharia et al., 2022): squeeze x_0 so that its `quantile` falls within -1..1."""

    def clip(x_t: Float[Tensor, "b *dims"], t: Int[Tensor, " b"]) -> Denoised:
        said = denoise(x_t, t)
        reach = said.x_0.abs().flatten(1).quantile(quantile, dim=1).clamp_min(1.0)
        limit = like(reach, said.x_0)
        return said._replace(x_0=said.x_0.clamp(-limit, limit) / limit)

    return clip
