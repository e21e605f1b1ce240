"""Lay one image over another: shift and scale of each axis, by least squares."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

MAX_SHIFT = 0.3  # of half a side
MAX_SCALE = 1.33
MAX_ERROR = 50.0  # differences beyond this (an overlaid mark) pull no harder

Views = Float[Tensor, "b 1 s s"]


def register(
    template: Views, moving: Views, warp: Float[Tensor, "b 4"], *, steps: int
) -> Float[Tensor, "b 4"]:
    """Improve the shift and scale of each axis that lay the moving image over the template.

    Inverse compositional Gauss-Newton (Baker & Matthews, 2004). A warp is (shift x, shift y, scale x,
    scale y) in units of half a side.
    """
    descent, solve = _gauss_newton(template)
    for _ in range(steps):
        moved, inside = apply_warp(moving, warp)
        error = ((moved - template) * inside).clamp(-MAX_ERROR, MAX_ERROR).flatten(1)
        step = (solve @ (descent @ error[..., None]))[..., 0].clamp(-0.1, 0.1)
        scale = (warp[:, 2:] / (1 + step[:, 2:])).clamp(1 / MAX_SCALE, MAX_SCALE)
        shift = (warp[:, :2] - scale * step[:, :2]).clamp(-MAX_SHIFT, MAX_SHIFT)
        warp = torch.cat([shift, scale], dim=1)
    return warp


def misfit(template: Views, moving: Views, warp: Float[Tensor, "b 4"]) -> Float[Tensor, " b"]:
    """Give the difference that the better 30% of the pixels stay below, of 255: marks do not count."""
    error = (apply_warp(moving, warp)[0] - template).abs().flatten(1)
    return error.kthvalue(int(0.3 * error.shape[1]), dim=1).values


def identity(n: int) -> Float[Tensor, "n 4"]:
    """Give the warp that moves nothing."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(n, 1)


def apply_warp(
    images: Float[Tensor, "b c s s"], warp: Float[Tensor, "b 4"]
) -> tuple[Float[Tensor, "b c s s"], Bool[Tensor, "b 1 s s"]]:
    """Sample images bilinearly where the warp points, and tell which pixels lay inside them."""
    if not len(warp):  # torch has no grid of nothing
        return images, torch.zeros_like(images[:, :1], dtype=torch.bool)
    zero = torch.zeros(len(warp))
    matrix = torch.stack([warp[:, 2], zero, warp[:, 0], zero, warp[:, 3], warp[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved, (grid.abs() <= 1).all(-1)[:, None]


def _gauss_newton(template: Views) -> tuple[Float[Tensor, "b 4 p"], Float[Tensor, "b 4 4"]]:
    """Steepest descent images of the four parameters, and the inverse of their damped normal matrix."""
    side = template.shape[-1]
    padded = F.pad(template, (1, 1, 1, 1), mode="replicate")[:, 0]
    dx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * side / 4
    dy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * side / 4
    places = (torch.arange(side) + 0.5) / side * 2 - 1
    descent = torch.stack([dx, dy, dx * places, dy * places[:, None]], dim=1).flatten(2)
    normal = descent @ descent.transpose(1, 2)
    damping = 0.01 * normal.diagonal(dim1=1, dim2=2).mean(1) + 1
    return descent, torch.linalg.inv(normal + damping[:, None, None] * torch.eye(4))
