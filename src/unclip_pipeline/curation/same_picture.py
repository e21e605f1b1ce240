"""Are two images the same picture? Looked at closely, after something coarser found them alike.

Two drawings or photographs of equal things are not copies of each other, however near their embeddings
are. Copies share their fine grain (sensor noise, texture), block for block; crops share it once they are
laid over each other; strong compression erases grain but moves no cell of a small thumbnail.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.registration import Views, apply_warp, identity, misfit, register
from unclip_pipeline.progress import progress

PAIRS_AT_ONCE = 1024
BLOCK_PX = 8  # grain is correlated block by block, and the median of the blocks counts
MIN_GRAIN_PX = 24  # pixels without structure that a block needs to count
MIN_GRAIN = 1.0  # root mean square of 255 that a block needs to count: white has none, shading little
SPECK = 0.25  # of 255, that half of these pixels must reach: traces of lines are not everywhere, grain is
MIN_BLOCKS = 6
FEW_BLOCKS = 2  # from here to MIN_BLOCKS, blocks count two thirds and all pixels together must agree
UNRELATED_BLOCKS, UNRELATED_GRAIN = 24, 0.065  # so many blocks with so little in common: another picture
EVEN_GRAIN = 0.8  # compression takes grain from one of two; two first-hand pictures have as much
MAX_STRUCTURE = 6.0  # range of the smoothed view around a pixel that is not structure, of 255
GRAIN_UNIT = 1 / 8  # grain is kept in eighths of a level, up to 16 levels
COARSE_PX, COARSE_STEPS, MAX_COARSE_MISFIT = 16, 3, 3.0  # misfit: what the better 30% of a view may
FINE_PX, FINE_STEPS, MAX_FINE_MISFIT = 32, 2, 2.5  # differ once laid over each other, of 255

Rows = Int[np.ndarray, " b"]
Fitting = Int[np.ndarray, " m"]


class Grain(NamedTuple):
    """What the grain of pairs says: correlation, and whether both have plenty that is unrelated."""

    correlation: Float[np.ndarray, " n"]  # 0 where there is too little grain to tell
    unrelated: Bool[np.ndarray, " n"]


class GrainReader:
    """Correlates the fine grain of images; views are of whole images, 0..255.

    1 is the same grain; unrelated images stay near 0, 999 in 1000 within 0.15.
    """

    def __init__(self, views: UInt8[np.ndarray, "n s s"]) -> None:
        parts = torch.from_numpy(views).split(PAIRS_AT_ONCE)
        read = [_read(part.float()) for part in progress(parts, label="read grain", unit="block")]
        self._grain, self._plain, self._coarse, self._fine = map(torch.cat, zip(*read, strict=True))

    def in_place(self, pairs: Pairs) -> Grain:
        """Correlate images as they lie."""
        return _by_parts(self._in_place, pairs, label="compare grain")

    def registered(self, pairs: Pairs) -> Grain:
        """Correlate images once either is shifted and scaled upon the other; 0 where they never fit."""
        return _by_parts(self._registered, pairs, label="lay over each other")

    def _in_place(self, first: Rows, second: Rows) -> Float[Tensor, "2 b"]:
        plain = (self._plain[first] & self._plain[second]).float()
        return compare_grain(self._grain[first] * plain, self._grain[second] * plain, plain)

    def _registered(self, first: Rows, second: Rows) -> Float[Tensor, "2 b"]:
        found = torch.zeros(2, len(first))
        fixed, moving, warp, left = self._coarsely(first, second)
        template, other = self._fine[fixed].float(), self._fine[moving].float()
        warp = register(template, other, warp, steps=FINE_STEPS)
        fits = misfit(template, other, warp) <= MAX_FINE_MISFIT
        fixed, moving, left = fixed[fits.numpy()], moving[fits.numpy()], left[fits]
        layers = torch.cat([self._grain[moving], self._plain[moving]], dim=1).float()
        moved, inside = apply_warp(layers, warp[fits])
        plain = (self._plain[fixed] & (moved[:, 1:] > 0.5) & inside).float()
        found[:, left] = compare_grain(self._grain[fixed] * plain, moved[:, :1] * plain, plain)
        return found

    def _coarsely(
        self, first: Rows, second: Rows
    ) -> tuple[Fitting, Fitting, Float[Tensor, "m 4"], Int[Tensor, " m"]]:
        """Lay small views over each other both ways; give the better way of the pairs that fit."""
        a, b = self._coarse[first].float(), self._coarse[second].float()
        ways = [(a, b), (b, a)]
        warps = [register(*way, identity(len(first)), steps=COARSE_STEPS) for way in ways]
        misfits = [misfit(*way, warp) for way, warp in zip(ways, warps, strict=True)]
        turned = misfits[1] < misfits[0]
        left = torch.minimum(*misfits).le(MAX_COARSE_MISFIT).nonzero()[:, 0]
        warp = torch.where(turned[:, None], warps[1], warps[0])[left]
        swap = turned[left].numpy()
        first, second = first[left.numpy()], second[left.numpy()]
        return np.where(swap, second, first), np.where(swap, first, second), warp, left


def compare_grain(a: Views, b: Views, plain: Views) -> Float[Tensor, "2 b"]:
    """Correlate two grains, both 0 where they are not plain, and tell (1) where they are unrelated.

    Grain is in units of `GRAIN_UNIT`. The correlation is the median over blocks, so that an overlaid mark
    does not count; where few blocks have any grain it is at most that of all pixels together.
    """
    pixels, energy_a, energy_b, shared = (_block_sums(sums) for sums in (plain, a * a, b * b, a * b))
    least = pixels * (MIN_GRAIN / GRAIN_UNIT) ** 2
    grainy = (_block_sums((grain.abs() >= SPECK / GRAIN_UNIT).float()) >= pixels / 2 for grain in (a, b))
    usable = (pixels >= MIN_GRAIN_PX) & (energy_a >= least) & (energy_b >= least)
    for everywhere in grainy:
        usable &= everywhere
    blocks = usable.sum(1)
    by_block = torch.where(usable, shared / (energy_a * energy_b).sqrt().clamp_min(1e-12), torch.nan)
    median = by_block.nanmedian(dim=1).values.nan_to_num(0.0)
    energies = torch.stack([energy_a.sum(1), energy_b.sum(1)])
    overall = shared.sum(1) / energies.prod(0).sqrt().clamp_min(1e-12)
    few = torch.where(blocks >= FEW_BLOCKS, torch.minimum(median * 2 / 3, overall), 0.0)
    even = energies.amin(0) >= EVEN_GRAIN**2 * energies.amax(0)
    unrelated = (blocks >= UNRELATED_BLOCKS) & even & (median < UNRELATED_GRAIN)
    return torch.stack([torch.where(blocks >= MIN_BLOCKS, median, few), unrelated.float()])


def _by_parts(read: Callable[[Rows, Rows], Float[Tensor, "2 b"]], pairs: Pairs, *, label: str) -> Grain:
    parts = [np.zeros((2, 0))]
    starts = range(0, len(pairs), PAIRS_AT_ONCE)
    for start in progress(starts, label=label, total=len(starts)):
        some = slice(start, start + PAIRS_AT_ONCE)
        parts.append(read(pairs.first[some], pairs.second[some]).double().numpy())
    correlation, unrelated = np.concatenate(parts, axis=1)
    return Grain(correlation, unrelated > 0)


def _read(views: Float[Tensor, "b s s"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give what a binomial blur takes away, where the blurred image is plain, and two smaller views."""
    smooth = _blurred(_blurred(views).mT).mT
    low, high = (_widest(smooth, extreme) for extreme in (torch.minimum, torch.maximum))
    grain = ((views - smooth) / GRAIN_UNIT).round().clamp(-127, 127).to(torch.int8)
    smaller = (F.avg_pool2d(views, views.shape[-1] // side).half() for side in (COARSE_PX, FINE_PX))
    return tuple(layer[:, None] for layer in (grain, high - low < MAX_STRUCTURE, *smaller))


def _blurred(rows: Float[Tensor, "b s s"]) -> Float[Tensor, "b s s"]:
    p, width = F.pad(rows, (2, 2), mode="reflect"), rows.shape[-1]
    steps = [p[..., start : start + width] for start in range(5)]
    return (steps[0] + steps[4] + 4 * (steps[1] + steps[3]) + 6 * steps[2]) / 16


def _widest(
    values: Float[Tensor, "b s s"], extreme: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, "b s s"]:
    """Take the extreme of the 3x3 pixels around each."""
    for _ in range(2):
        p, width = F.pad(values, (1, 1), mode="reflect"), values.shape[-1]
        values = extreme(extreme(p[..., :width], p[..., 1:-1]), p[..., 2:]).mT
    return values


def _block_sums(values: Views) -> Float[Tensor, "b k"]:
    b, _, side, _ = values.shape
    blocks = side // BLOCK_PX
    return values.view(b, blocks, BLOCK_PX, blocks, BLOCK_PX).sum((2, 4)).flatten(1)
