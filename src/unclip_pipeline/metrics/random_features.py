"""Features of a convolution network with random weights: weak, but independent of all that was trained.

The project's own CLIP filtered the data and conditioned the models, so scores in its space flatter them. A
figure that moves in both spaces is worth more than either.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from unclip_pipeline.seeds import seeded
from unclip_pipeline.weights import weights_digest

SIDE_PX = 32
WIDTHS = (3, 24, 48, 64)
WIDTH = 24 + 48 + 64 + 4 * 64  # channel means after each stage, then the last stage on a 2 x 2 grid
SEED = 20220413  # a constant of the extractor, not of the run: every run measures with the same ruler


def random_features(images: UInt8[Tensor, "b 3 h w"]) -> Float[np.ndarray, "b d"]:
    """Describe images by 392 numbers; the same numbers on every run and machine up to float32 rounding."""
    filters = _filters()
    return np.concatenate([_forward(chunk, filters) for chunk in images.split(256)]).astype(np.float64)


def random_extractor_id() -> str:
    """Name the extractor by its weights, so that results of different ones are not compared."""
    digest = weights_digest({str(place): weight for place, weight in enumerate(_filters())})
    return f"random-conv-{SIDE_PX}px-{digest}"


def _filters() -> list[Tensor]:
    generator = seeded(SEED, "random_features")
    shapes = [(wide, narrow, 3, 3) for narrow, wide in zip(WIDTHS, WIDTHS[1:], strict=False)]
    return [torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5 for shape in shapes]


@torch.inference_mode()
def _forward(images: UInt8[Tensor, "b 3 h w"], filters: list[Tensor]) -> Float[np.ndarray, "b d"]:
    x = images.float() / 127.5 - 1
    x = F.interpolate(x, (SIDE_PX, SIDE_PX), mode="bicubic", antialias=True, align_corners=False)
    means = []
    for weight in filters:
        x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
        means.append(x.mean((2, 3)))
    grid = F.adaptive_avg_pool2d(x, 2).flatten(1)
    return torch.cat([*means, grid], dim=1).numpy()
