"""Is super-resolution nearer to the truth than plain enlargement, as sharp as the truth, and at which noise?"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.metrics.estimate import flatten, mean_of
from unclip_pipeline.metrics.pictures import psnr_db, sharpness
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seeded, seeded_numpy
from unclip_pipeline.training.pairs import Pairs, Rows
from unclip_pipeline.training.upsampler import shrunk
from unclip_pipeline.unclip import Enlarging, draw_large, enlarged, to_float, to_uint8

MOST_ROWS = 128
PIXELS_AT_ONCE = 2**18  # of the larger pictures
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of noise; see SamplingConfig
SHOWN = 8


@dataclass(frozen=True)
class Previews:
    """The same held-out pictures, shrunk and enlarged again and again, with the same noise."""

    heldout: Pairs
    steps: int
    seed: int

    def sheet(self, unet: Unet, noise: float | None = None) -> Image.Image:
        """Three rows: bicubic enlargement, super-resolution, truth."""
        rows = np.sort(seeded_numpy(self.seed, "preview").permutation(self.heldout.rows)[:SHOWN])
        truth = self.heldout.images(rows)
        small = to_uint8(shrunk(truth, unet.config.low_side_px))
        how = Enlarging(steps=self.steps, noise=noise)
        ours = enlarge(unet, small, self.heldout.dataset.uids(rows), how, seed=self.seed)
        pictures = torch.cat([plainly_enlarged(small, unet.config.side_px)["bicubic"], ours, truth])
        return contact_sheet(list(pictures.permute(0, 2, 3, 1).cpu().numpy()), columns=len(rows))


class Validation(NamedTuple):
    """What was measured, and the level of noise at which pictures came nearest to the truth."""

    metrics: dict[str, float | int]
    best_noise: float


def validate(unet: Unet, heldout: Pairs, steps: int, *, seed: int) -> Validation:
    """Measure PSNR, and sharpness relative to the truth, at every level of noise and of plain enlargement."""
    measured = _measured(unet, heldout, steps, seed)
    best = max(LEVELS, key=lambda level: measured[f"psnr_{_at(level)}_db"].mean())
    ours = {
        "psnr_ours_db": measured[f"psnr_{_at(best)}_db"],
        "sharpness_ours": measured[f"sharpness_{_at(best)}"],
    }
    first = {
        "gain_over_bicubic_db": ours["psnr_ours_db"] - measured["psnr_bicubic_db"],
        "sharpness_ours": ours["sharpness_ours"],
        "sharpness_bicubic": measured["sharpness_bicubic"],
    }
    all_of_it = flatten({name: mean_of(values) for name, values in (first | ours | measured).items()})
    headlines = flatten({name: mean_of(values) for name, values in first.items()})
    return Validation({**headlines, "best_noise": best, **all_of_it}, best)


def _measured(unet: Unet, heldout: Pairs, steps: int, seed: int) -> dict[str, Float[np.ndarray, " n"]]:
    parts: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    rows = np.sort(seeded_numpy(seed, "validate_upsampler").permutation(heldout.rows)[:MOST_ROWS])
    for some in progress(list(_batches(rows, unet.config.side_px)), label="upsampler: validating"):
        truth, uids = heldout.images(some), heldout.dataset.uids(some)
        small = to_uint8(shrunk(truth, unet.config.low_side_px))
        pictures = plainly_enlarged(small, unet.config.side_px)
        for level in LEVELS:
            how = Enlarging(steps=steps, noise=level)
            pictures[_at(level)] = enlarge(unet, small, uids, how, seed=seed)
        true_sharpness = np.maximum(sharpness(truth.cpu()), 1e-9)
        for name, drawn in pictures.items():
            parts[f"psnr_{name}_db"].append(psnr_db(drawn.cpu(), truth.cpu()))
            parts[f"sharpness_{name}"].append(sharpness(drawn.cpu()) / true_sharpness)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _at(level: float) -> str:
    return f"noise_{100 * level:.0f}"


def _batches(rows: Rows, side_px: int) -> Iterator[Rows]:
    size = max(1, PIXELS_AT_ONCE // side_px**2)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def enlarge(
    unet: Unet, small: UInt8[Tensor, "n 3 s s"], uids: list[str], how: Enlarging, *, seed: int
) -> UInt8[Tensor, "n 3 S S"]:
    """Enlarge with noise keyed by uid."""
    noise = [seeded(seed, "validate_upsampler", uid) for uid in uids]
    return draw_large(unet, small, None, noise, how)


def plainly_enlarged(small: UInt8[Tensor, "n 3 s s"], side_px: int) -> dict[str, UInt8[Tensor, "n 3 S S"]]:
    """Enlarge by the filter that super-resolution starts from, and by a simpler one."""
    bilinear = F.interpolate(small.float(), (side_px, side_px), mode="bilinear").round()
    return {
        "bicubic": to_uint8(enlarged(to_float(small), side_px)),
        "bilinear": bilinear.clamp(0, 255).to(torch.uint8),
    }
