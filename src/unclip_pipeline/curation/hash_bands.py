"""All pairs of 64-bit hashes that differ in few bits: exact, by bands.

Hashes that differ in b bits agree whole in at least one of any b + 1 bands (pigeonhole), so only rows that
share a band are compared.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt64

from unclip_pipeline.curation.pairs import PairCollector, Pairs
from unclip_pipeline.curation.pictures import hamming
from unclip_pipeline.progress import progress

BITS = 64
BLOCK = 2048
ADVICE = "lower deduplicate.max_hash_bits, or raise deduplicate.max_memory_mb"


def hash_pairs(hashes: UInt64[np.ndarray, " n"], max_bits: int, *, max_memory_mb: int = 2048) -> Pairs:
    """Find all pairs of hashes that differ in at most this many bits."""
    found = PairCollector(len(hashes), max_memory_mb=max_memory_mb, advice=ADVICE)
    distinct, place = np.unique(hashes, return_inverse=True)
    members = _Members.of(place, len(distinct))
    shared = np.flatnonzero(members.count > 1)
    for a, b in [(shared, shared), *_distinct_pairs(distinct, max_bits)]:
        found.refuse_more_than_fit(int((members.count[a] * members.count[b]).sum()))
        found.add(*members.expand(a, b))
    return found.pairs()


class _Members(NamedTuple):
    """Which rows have each distinct hash."""

    rows: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " v"]
    count: Int[np.ndarray, " v"]

    @classmethod
    def of(cls, place: Int[np.ndarray, " n"], n_distinct: int) -> "_Members":
        count = np.bincount(place, minlength=n_distinct)
        return cls(np.argsort(place, kind="stable"), np.cumsum(count) - count, count)

    def expand(
        self, a: Int[np.ndarray, " m"], b: Int[np.ndarray, " m"]
    ) -> tuple[Int[np.ndarray, " r"], Int[np.ndarray, " r"]]:
        """Pair every row of each hash a with every row of its hash b."""
        times = self.count[a] * self.count[b]
        pair = np.repeat(np.arange(len(a)), times)
        number = np.arange(len(pair)) - np.repeat(np.cumsum(times) - times, times)
        i, j = np.divmod(number, self.count[b][pair])
        return self.rows[self.start[a][pair] + i], self.rows[self.start[b][pair] + j]


def bands(max_bits: int) -> list[tuple[int, int]]:
    """Cut 64 bits into max_bits + 1 bands, each as (lowest bit, width); widths differ by one at most."""
    edges = np.linspace(0, BITS, max_bits + 2).round().astype(int)
    return [(int(low), int(high - low)) for low, high in zip(edges, edges[1:], strict=False)]


def _distinct_pairs(
    hashes: UInt64[np.ndarray, " n"], max_bits: int
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]]:
    """Find pairs of distinct hashes, each pair in every band that both share."""
    cut = [(hashes >> np.uint64(low)) & np.uint64(2**width - 1) for low, width in bands(max_bits)]
    for band in progress(cut, label="compare hashes", unit="band"):
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order[:1]] + np.uint64(1)))
        for rows in np.split(order, starts[1:]):
            for a, b in _blocks(rows):
                i, j = np.nonzero(hamming(hashes[a][:, None], hashes[b][None]) <= max_bits)
                once = a[i] < b[j]
                yield a[i][once], b[j][once]


def _blocks(
    rows: Int[np.ndarray, " n"],
) -> Iterator[tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]]:
    if len(rows) < 2:
        return
    for start in range(0, len(rows), BLOCK):
        for other in range(start, len(rows), BLOCK):
            yield rows[start : start + BLOCK], rows[other : other + BLOCK]
