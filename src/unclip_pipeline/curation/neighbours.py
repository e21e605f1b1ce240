"""All pairs of rows that are near each other: exact, by blocks of all against all.

Cost grows with the square of the rows; a method for more rows need only give the same `Pairs`.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt64

from unclip_pipeline.curation.pictures import hamming
from unclip_pipeline.progress import progress

BLOCK = 2048
MAX_PAIRS = 50_000_000
BRUTE_FORCE_ROWS = 50_000  # beyond these a warning tells how long it will take
MULTIPLICATIONS_PER_S = 2e10  # what one modest core does

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Row numbers of pairs, first < second."""

    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: Bool[np.ndarray, " m"]) -> "Pairs":
        """Choose pairs by mask."""
        return Pairs(self.first[chosen], self.second[chosen])


def union(n: int, *several: Pairs) -> Pairs:
    """Put pairs of n rows together, each once, sorted by second and first."""
    keys = np.unique(np.concatenate([pairs.second * n + pairs.first for pairs in several]))
    return Pairs(keys % n, keys // n)


def cosine_pairs(vectors: Float32[np.ndarray, "n d"], min_cosine: float) -> Pairs:
    """Find all pairs of unit vectors with at least this cosine."""
    n, width = vectors.shape
    if n > BRUTE_FORCE_ROWS:
        seconds = n * n / 2 * width / MULTIPLICATIONS_PER_S
        logger.warning("comparing %d embeddings all against all: about %.0f minutes", n, seconds / 60)
    return _all_pairs(n, lambda a, b: vectors[a] @ vectors[b].T >= min_cosine, label="compare embeddings")


def hash_pairs(hashes: UInt64[np.ndarray, " n"], max_bits: int) -> Pairs:
    """Find all pairs of hashes that differ in at most this many bits."""
    return _all_pairs(
        len(hashes),
        lambda a, b: hamming(hashes[a, None], hashes[None, b]) <= max_bits,
        label="compare hashes",
    )


def _all_pairs(n: int, near: Callable[[slice, slice], np.ndarray], *, label: str) -> Pairs:
    found: list[Pairs] = []
    total = 0
    blocks = -(-n // BLOCK)
    for rows, columns in progress(_blocks(n), label=label, total=blocks * (blocks + 1) // 2):
        first, second = np.nonzero(near(rows, columns))
        pairs = Pairs(first + rows.start, second + columns.start)
        found.append(pairs.where(pairs.first < pairs.second))
        total += len(found[-1])
        if total > MAX_PAIRS:
            raise ValueError(
                f"more than {MAX_PAIRS:,} pairs of {n:,} rows are this near; raise deduplicate.min_cosine or "
                "lower deduplicate.max_hash_bits"
            )
    if not found:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Pairs(
        np.concatenate([pairs.first for pairs in found]), np.concatenate([pairs.second for pairs in found])
    )


def _blocks(n: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, n, BLOCK):
        for other in range(start, n, BLOCK):
            yield slice(start, min(start + BLOCK, n)), slice(other, min(other + BLOCK, n))
