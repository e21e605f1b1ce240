"""In which order the rows of a dataset version are drawn: a pure function of seed and position."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from unclip_pipeline.seeds import seeded_numpy


def epoch_order(weights: Float[np.ndarray, " n"], *, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """Order n draws of n rows so that each row comes floor or ceil of its weight times.

    Weights are scaled to mean 1, shuffled and resampled systematically (one uniform offset).
    """
    if len(weights) == 0 or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(f"an epoch needs finite weights >= 0 with a positive sum, got {weights!r}")
    random = seeded_numpy(seed, "epoch_order", epoch)
    shuffled = random.permutation(len(weights))
    edges = np.cumsum(weights[shuffled].astype(np.float64) / weights.mean(dtype=np.float64))
    edges[-1] = len(weights)  # the sum without its rounding error
    upto = np.ceil(edges - random.uniform()).clip(0, len(weights)).astype(np.int64)
    times = np.diff(upto, prepend=0)
    return random.permutation(np.repeat(shuffled, times))


def gathered_by_shards(
    order: Int[np.ndarray, " n"],
    shards: Int[np.ndarray, " n"],
    *,
    mixed_shards: int,
    seed: int,
    epoch: int,
) -> Int[np.ndarray, " n"]:
    """Keep an epoch's draws in their order, but let those of a few shards at a time come before the next few's.

    `shards` says which shard each row lies in; the shards that come together change with the epoch.
    """
    names, number = np.unique(shards, return_inverse=True)
    turn = seeded_numpy(seed, "shard_order", epoch).permutation(len(names)) // mixed_shards
    return order[np.argsort(turn[number[order]], kind="stable")]


def batches_of(
    rows: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    *,
    seed: int,
    shards: Int[np.ndarray, " n"] | None = None,
    mixed_shards: int = 0,
) -> Callable[[int, int], Int[np.ndarray, " b"]]:
    """Give the function from a position of the endless run of epochs, and a batch size, to the rows drawn there.

    It is pure: a resumed training draws what the unbroken one would have drawn. With `mixed_shards` rows come
    from so many shards at a time; 0 draws from all.
    """
    if len(rows) == 0:
        raise ValueError(
            "a batch needs rows to draw from, got an empty selection; check the dataset's splits"
        )

    @lru_cache(maxsize=2)  # an epoch takes longer to order than a batch to read
    def epoch_rows(epoch: int) -> Int[np.ndarray, " n"]:
        order = epoch_order(weights, seed=seed, epoch=epoch)
        if shards is not None and mixed_shards:
            order = gathered_by_shards(order, shards, mixed_shards=mixed_shards, seed=seed, epoch=epoch)
        return rows[order]

    def batch(images_seen: int, batch_size: int) -> Int[np.ndarray, " b"]:
        first, last = images_seen // len(rows), (images_seen + batch_size - 1) // len(rows)
        start = images_seen - first * len(rows)
        epochs = [epoch_rows(epoch) for epoch in range(first, last + 1)]
        drawn = epochs[0] if len(epochs) == 1 else np.concatenate(epochs)
        return drawn[start : start + batch_size].copy()

    return batch
