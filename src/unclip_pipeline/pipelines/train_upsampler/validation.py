"""Is super-resolution nearer to the truth than plain enlargement, and as sharp as the truth?"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.metrics.estimate import flatten, mean_of
from unclip_pipeline.metrics.pictures import psnr_db, psnr_gain, sharpness
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.seeds import seeded, seeded_numpy
from unclip_pipeline.training.pairs import Pairs, Rows
from unclip_pipeline.training.upsampler import shrunk
from unclip_pipeline.unclip import SamplingConfig, draw_large, to_uint8

MOST_ROWS = 256
BATCH = 64
SHOWN = 8


@dataclass(frozen=True)
class Previews:
    """The same held-out pictures, shrunk and enlarged again and again, with the same noise."""

    heldout: Pairs
    seed: int

    def sheet(self, unet: Unet) -> Image.Image:
        """Three rows: bicubic enlargement, super-resolution, truth."""
        rows = np.sort(seeded_numpy(self.seed, "preview").permutation(self.heldout.rows)[:SHOWN])
        truth = self.heldout.images(rows)
        small = to_uint8(shrunk(truth, unet.config.low_side_px))
        ours = enlarge(unet, small, self.heldout.dataset.uids(rows), seed=self.seed)
        pictures = torch.cat([resized(small, unet.config.side_px, "bicubic"), ours, truth])
        return contact_sheet(list(pictures.permute(0, 2, 3, 1).cpu().numpy()), columns=len(rows))


def validate(unet: Unet, heldout: Pairs, *, seed: int) -> dict[str, float | int]:
    """Signal-to-noise ratio and sharpness on held-out pictures, beside bicubic and bilinear enlargement."""
    rows = np.sort(seeded_numpy(seed, "validate_upsampler").permutation(heldout.rows)[:MOST_ROWS])
    truth = heldout.images(rows)
    small = to_uint8(shrunk(truth, unet.config.low_side_px))
    ours = _in_batches(unet, heldout, rows, small, seed=seed)
    others = {name: resized(small, unet.config.side_px, name) for name in ("bicubic", "bilinear")}
    true_sharpness = np.maximum(sharpness(truth), 1e-9)
    estimates = {"gain_over_bicubic_db": psnr_gain(ours, others["bicubic"], truth)}
    for name, pictures in {"ours": ours, **others}.items():
        estimates[f"psnr_{name}_db"] = mean_of(psnr_db(pictures, truth))
        estimates[f"sharpness_{name}"] = mean_of(sharpness(pictures) / true_sharpness)
    return flatten(estimates)


def _in_batches(
    unet: Unet, heldout: Pairs, rows: Rows, small: UInt8[Tensor, "n 3 s s"], *, seed: int
) -> UInt8[Tensor, "n 3 S S"]:
    parts = []
    for start in range(0, len(rows), BATCH):
        some = slice(start, start + BATCH)
        parts.append(enlarge(unet, small[some], heldout.dataset.uids(rows[some]), seed=seed))
    return torch.cat(parts)


def enlarge(
    unet: Unet, small: UInt8[Tensor, "n 3 s s"], uids: list[str], *, seed: int
) -> UInt8[Tensor, "n 3 S S"]:
    """Enlarge with the default sampling, noise keyed by uid."""
    noise = [seeded(seed, "validate_upsampler", uid) for uid in uids]
    return draw_large(unet, small, None, noise, SamplingConfig())


def resized(small: UInt8[Tensor, "n 3 s s"], side_px: int, mode: str) -> UInt8[Tensor, "n 3 S S"]:
    """Plain enlargement."""
    return F.interpolate(small.float(), (side_px, side_px), mode=mode).round().clamp(0, 255).to(torch.uint8)
