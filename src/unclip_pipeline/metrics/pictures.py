"""Pixel measures of pictures against the picture they should be."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.metrics.estimate import Estimate, mean_of

Images = UInt8[Tensor, "b 3 h w"]


def psnr_db(images: Images, truth: Images) -> Float[np.ndarray, " b"]:
    """Peak signal-to-noise ratio of each picture in dB; higher is better, equal pictures give 100."""
    error = (images.double() - truth.double()).square().mean((1, 2, 3))
    return (10 * torch.log10(255**2 / error.clamp(min=255**2 * 1e-10))).numpy()


def psnr_gain(images: Images, baseline: Images, truth: Images) -> Estimate:
    """Mean of paired PSNR differences to a baseline in dB; above 0 the images are nearer the truth."""
    return mean_of(psnr_db(images, truth) - psnr_db(baseline, truth))


def sharpness(images: Images) -> Float[np.ndarray, " b"]:
    """Mean absolute Laplacian of the brightness in grey levels; compare with real pictures of one size."""
    grey = images.double().mean(1, keepdim=True)
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
    return F.conv2d(grey, laplacian[None, None]).abs().mean((1, 2, 3)).numpy()


def resized(images: Images, side_px: int) -> UInt8[Tensor, "b 3 s s"]:
    """Resize by an antialiased bicubic filter, the baseline of super-resolution."""
    smooth = F.interpolate(images.float(), (side_px, side_px), mode="bicubic", antialias=True)
    return smooth.round().clamp(0, 255).to(torch.uint8)
