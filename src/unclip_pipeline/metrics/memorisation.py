"""Does the model give back training pictures? Nearest neighbours, judged against pictures never trained on.

Absolute thresholds fail where pictures are simple (a published pixel threshold flags nearly every held-out
picture of a drawn world), so the threshold is set on reference pictures at a chosen false positive rate, and
what is reported is the rate above that of the reference.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy import stats
from torch import Tensor

from unclip_pipeline.metrics.estimate import Estimate, share_difference, share_of

TILES = 4  # per side


class Nearest(NamedTuple):
    """The k nearest rows of an index to each query, nearest first."""

    rows: Int[np.ndarray, "n k"]  # positions in the index
    distances: Float[np.ndarray, "n k"]


class CopyRates(NamedTuple):
    flagged: Estimate  # share of queries below the threshold
    reference_flagged: Estimate  # share of reference pictures below it: what "no copying" gives
    excess: Estimate  # flagged minus reference: above 0 with its whole interval means copies
    threshold: float
    nearer: float  # one-sided Mann-Whitney p: queries lie nearer to the index than reference pictures


def tile_vectors(images: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "tiles b p"]:
    """Cut pictures into 4 x 4 tiles, in 0..1, scaled so that a distance is a root mean square per pixel."""
    b, c, side, _ = images.shape
    if side % TILES:
        raise ValueError(f"tiles need a side that is a multiple of {TILES}, got {side}; resize the pictures")
    step = side // TILES
    tiles = images.float().div(255).view(b, c, TILES, step, TILES, step)
    return tiles.permute(2, 4, 0, 1, 3, 5).reshape(TILES**2, b, -1) / (c * step * step) ** 0.5


def embedding_vectors(embeddings: Float[np.ndarray, "b d"]) -> Float[Tensor, "1 b d"]:
    """Unit vectors in the same form: one tile, so that a distance is a chord, sqrt(2 - 2 cos)."""
    rows = torch.as_tensor(np.asarray(embeddings, np.float32))
    return torch.nn.functional.normalize(rows, dim=1)[None]


def nearest(
    queries: Float[Tensor, "tiles n p"],
    index: Iterable[Float[Tensor, "tiles _ p"]],
    *,
    k: int,
    own_row: Int[np.ndarray, " n"] | None = None,
) -> Nearest:
    """Find the k nearest rows of an index given in chunks; distance = that of the worst matching tile.

    `own_row` names a row of the index each query must not find (leave one out).
    """
    n = queries.shape[1]
    best = torch.full((n, k), torch.inf)
    rows = torch.full((n, k), -1, dtype=torch.long)
    for offset, chunk in _with_offsets(index):
        distances = torch.stack([torch.cdist(q, t) for q, t in zip(queries, chunk, strict=True)]).amax(0)
        if own_row is not None:
            own = torch.as_tensor(own_row) - offset
            inside = (own >= 0) & (own < chunk.shape[1])
            distances[torch.where(inside)[0], own[inside]] = torch.inf
        places = torch.arange(offset, offset + chunk.shape[1]).expand(n, -1)
        best, order = torch.cat([best, distances], 1).topk(k, largest=False)
        rows = torch.cat([rows, places], 1).gather(1, order)
    if not torch.isfinite(best).all():
        raise ValueError(f"{k} neighbours need an index of more rows; lower `neighbours` or give more data")
    return Nearest(rows.numpy(), best.double().numpy())


def ratio_of(found: Nearest) -> Float[np.ndarray, " n"]:
    """Nearest over second nearest distance: near 0 for a copy, near 1 where many rows are alike."""
    return found.distances[:, 0] / np.maximum(found.distances[:, 1], 1e-12)


def threshold_at(reference: Float[np.ndarray, " m"], false_positive_rate: float) -> float:
    """Threshold below which this share of the reference scores lies, rounded down."""
    allowed = int(np.floor(false_positive_rate * len(reference)))
    if not 0 < allowed < len(reference):
        raise ValueError(
            f"a false positive rate of {false_positive_rate} needs at least "
            f"{int(np.ceil(1 / false_positive_rate))} reference pictures, got {len(reference)}; "
            "raise the rate or give more held-out pictures"
        )
    return float(np.mean(np.sort(reference)[allowed - 1 : allowed + 1]))


def copy_rates(
    scores: Float[np.ndarray, " n"],
    reference: Float[np.ndarray, " m"],
    *,
    false_positive_rate: float,
    extractor: str,
) -> CopyRates:
    """Compare how near queries and reference pictures come to the training set; low scores are copies."""
    threshold = threshold_at(reference, false_positive_rate)
    below, reference_below = scores < threshold, reference < threshold
    return CopyRates(
        flagged=share_of(below, extractor),
        reference_flagged=share_of(reference_below, extractor),
        excess=share_difference(below, reference_below, extractor),
        threshold=threshold,
        nearer=float(stats.mannwhitneyu(scores, reference, alternative="less").pvalue),
    )


def _with_offsets(index: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    offset = 0
    for chunk in index:
        yield offset, chunk
        offset += chunk.shape[1]
