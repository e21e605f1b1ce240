"""Are two images the same picture? Looked at closely, after something coarser found them alike.

Two drawings or photographs of equal things are not copies of each other, however near their embeddings
are. Copies share their fine grain (sensor noise, texture), block for block; crops share it once they are
laid over each other; strong compression erases grain but moves no cell of a small thumbnail.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints, mean_difference
from unclip_pipeline.progress import progress

PAIRS_AT_ONCE = 1024
BLOCK_PX = 8  # grain is correlated block by block, and the median of the blocks counts
MIN_GRAIN_PX = 24  # pixels without structure that a block needs to count
MIN_GRAIN = 0.5  # root mean square of 255 that a block needs to count: saturated white has none
MIN_BLOCKS = 6
MAX_STRUCTURE = 6.0  # range of the smoothed view around a pixel that is not structure, of 255
GRAIN_UNIT = 1 / 8  # grain is kept in eighths of a level, up to 16 levels
COARSE_PX, COARSE_STEPS = 16, 3
FINE_PX, FINE_STEPS = 32, 4
MAX_MISFIT = 7.0  # that the better 30% of a coarse view may differ once laid over each other, of 255
MAX_SHIFT = 0.3  # of half a side
MAX_SCALE = 1.33
MAX_ERROR = 50.0  # differences beyond this (an overlaid mark) pull no harder

Rows = Int[np.ndarray, " b"]
Views = Float[Tensor, "b 1 s s"]


class CellDifference(NamedTuple):
    """How far the thumbnails of a pair differ, of 255; 0 is the same."""

    median: Float[np.ndarray, " n"]
    largest: Float[np.ndarray, " n"]
    tones: Float[np.ndarray, " n"]  # the same wherever the cells lie: copies that were cropped keep tones


def cell_difference(prints: Fingerprints, pairs: Pairs) -> CellDifference:
    """Compare thumbnails cell by cell, and by the closest 30% of their sorted tones."""
    tones = np.sort(prints.cells.mean(axis=3, dtype=np.float32).reshape(len(prints.uid), -1), axis=1)
    found = np.empty((3, len(pairs)))
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        a, b = pairs.first[some], pairs.second[some]
        cells = np.sort(mean_difference(prints.cells[a], prints.cells[b]).reshape(len(a), -1), axis=1)
        shades = np.partition(np.abs(tones[a] - tones[b]), int(0.3 * tones.shape[1]), axis=1)
        found[:, some] = cells[:, cells.shape[1] // 2], cells[:, -1], shades[:, int(0.3 * tones.shape[1])]
    return CellDifference(*found)


class GrainReader:
    """Correlates the fine grain of images; views are of whole images, 0..255.

    1 is the same grain; unrelated images stay near 0, 999 in 1000 within 0.13.
    """

    def __init__(self, views: UInt8[np.ndarray, "n s s"]) -> None:
        self._views = torch.from_numpy(views)
        parts = [_grain(part.float()[:, None]) for part in self._views.split(PAIRS_AT_ONCE)]
        self._grain = torch.cat([grain for grain, _ in parts])
        self._plain = torch.cat([plain for _, plain in parts])

    def in_place(self, pairs: Pairs) -> Float[np.ndarray, " n"]:
        """Correlate images as they lie."""
        return _by_parts(self._in_place, pairs, label="compare grain")

    def registered(self, pairs: Pairs) -> Float[np.ndarray, " n"]:
        """Correlate images once the second is shifted and scaled upon the first; 0 where they never fit."""
        return _by_parts(self._registered, pairs, label="lay over each other")

    def _in_place(self, first: Rows, second: Rows) -> Float[Tensor, " b"]:
        plain = (self._plain[first] & self._plain[second]).float()
        return grain_correlation(self._grain[first] * plain, self._grain[second] * plain, plain)

    def _registered(self, first: Rows, second: Rows) -> Float[Tensor, " b"]:
        correlations = torch.zeros(len(first))
        template, moving = self._shrunk(first, COARSE_PX), self._shrunk(second, COARSE_PX)
        warp = register(template, moving, identity(len(first)), steps=COARSE_STEPS)
        fits = misfit(template, moving, warp) <= MAX_MISFIT
        first, second = first[fits.numpy()], second[fits.numpy()]
        template, moving = self._shrunk(first, FINE_PX), self._shrunk(second, FINE_PX)
        warp = register(template, moving, warp[fits], steps=FINE_STEPS)
        layers = torch.cat([self._grain[second], self._plain[second]], dim=1).float()
        moved, inside = apply_warp(layers, warp)
        plain = (self._plain[first] & (moved[:, 1:] > 0.5) & inside).float()
        correlations[fits] = grain_correlation(self._grain[first] * plain, moved[:, :1] * plain, plain)
        return correlations

    def _shrunk(self, rows: Rows, side: int) -> Views:
        return F.avg_pool2d(self._views[rows].float()[:, None], self._views.shape[-1] // side)


def grain_correlation(a: Views, b: Views, plain: Views) -> Float[Tensor, " b"]:
    """Take the median over blocks of the correlation of two grains, both 0 where they are not plain.

    Grain is in units of `GRAIN_UNIT`. 0 where fewer than `MIN_BLOCKS` blocks have any to compare.
    """
    pixels, energy_a, energy_b = _block_sums(plain), _block_sums(a * a), _block_sums(b * b)
    least = pixels * (MIN_GRAIN / GRAIN_UNIT) ** 2
    usable = (pixels >= MIN_GRAIN_PX) & (energy_a >= least) & (energy_b >= least)
    correlation = _block_sums(a * b) / (energy_a * energy_b).sqrt().clamp_min(1e-12)
    median = torch.where(usable, correlation, torch.nan).nanmedian(dim=1).values
    return torch.where(usable.sum(1) >= MIN_BLOCKS, median, 0.0)


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
    zero = torch.zeros(len(warp))
    matrix = torch.stack([warp[:, 2], zero, warp[:, 0], zero, warp[:, 3], warp[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved, (grid.abs() <= 1).all(-1)[:, None]


def _by_parts(
    read: Callable[[Rows, Rows], Float[Tensor, " b"]], pairs: Pairs, *, label: str
) -> Float[np.ndarray, " n"]:
    parts = []
    starts = range(0, len(pairs), PAIRS_AT_ONCE)
    for start in progress(starts, label=label, total=len(starts)):
        some = slice(start, start + PAIRS_AT_ONCE)
        parts.append(read(pairs.first[some], pairs.second[some]).double().numpy())
    return np.concatenate(parts) if parts else np.zeros(0)


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


def _grain(views: Views) -> tuple[Shaped[Tensor, "b 1 s s"], Bool[Tensor, "b 1 s s"]]:
    """What a binomial blur takes away, and a mask of where the blurred image is plain."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]).view(1, 1, 1, 5) / 16
    padded = F.pad(views, (2, 2, 2, 2), mode="reflect")
    smooth = F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))
    around = F.pad(smooth, (1, 1, 1, 1), mode="reflect")
    spread = F.max_pool2d(around, 3, 1) + F.max_pool2d(-around, 3, 1)
    grain = ((views - smooth) / GRAIN_UNIT).round().clamp(-127, 127)
    return grain.to(torch.int8), spread < MAX_STRUCTURE


def _block_sums(values: Views) -> Float[Tensor, "b k"]:
    b, _, side, _ = values.shape
    blocks = side // BLOCK_PX
    return values.view(b, blocks, BLOCK_PX, blocks, BLOCK_PX).sum((2, 4)).flatten(1)
