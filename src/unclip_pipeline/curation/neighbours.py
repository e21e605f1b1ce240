"""All pairs of rows that are near each other by cosine, and how far that can be trusted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.curation.margin import (
    ADVICE,
    SAMPLE_PER_CLUSTER,
    Vectors,
    block_rows,
    k_means,
    margin_pairs,
    read,
    true_places,
    visit,
)
from unclip_pipeline.curation.pairs import PairCollector, Pairs
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seeded_numpy

SAMPLED_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How near pairs are searched. Nothing here changes what is found while slack is 1."""

    brute_force_rows: int = 50_000  # up to here all rows are compared with all
    clusters: int = 0  # beyond; 0 chooses by the number of rows and how they lie
    slack: float = 1.0  # 1 finds every pair; 0.5 and 0.25 nearly every one, at less cost
    max_memory_mb: int = 2048  # of working arrays, beside the vectors


def cosine_pairs(vectors: Vectors, min_cosine: float, search: SearchConfig, *, seed: int = 0) -> Pairs:
    """Find all pairs of unit vectors with at least this cosine."""
    if len(vectors) <= search.brute_force_rows:
        return brute_force_pairs(vectors, min_cosine, max_memory_mb=search.max_memory_mb)
    centroids = choose_centroids(vectors, min_cosine, search, seed=seed)
    return margin_pairs(
        vectors, min_cosine, centroids, slack=search.slack, max_memory_mb=search.max_memory_mb
    )


def choose_centroids(
    vectors: Vectors, min_cosine: float, search: SearchConfig, *, seed: int = 0
) -> Float32[np.ndarray, "k d"]:
    """Find as many clusters as asked for, or as many as promise the least work on a sample of the rows.

    More clusters are smaller, and lie near more rows: which is cheaper depends on the data. Three times as
    many are tried while comparing rows takes more than assigning them would.
    """
    n, tried = len(vectors), []
    rows = np.sort(seeded_numpy(seed, "work").permutation(n)[:SAMPLED_ROWS])
    sample = read(vectors, rows)
    k = search.clusters or max(1, round(np.sqrt(n) / 3))
    while True:
        centroids = k_means(vectors, k, seed=seed, max_memory_mb=search.max_memory_mb)
        if search.clusters:
            return centroids
        compared = n * n * _share_compared(sample, centroids, min_cosine, search)
        tried.append((compared + n * k, k, centroids))
        k *= 3
        if compared <= n * k or k * SAMPLE_PER_CLUSTER > n:
            return min(tried, key=lambda choice: choice[:2])[2]


def _share_compared(
    sample: Float32[np.ndarray, "m d"],
    centroids: Float32[np.ndarray, "k d"],
    min_cosine: float,
    search: SearchConfig,
) -> float:
    """Estimate what share of all ordered pairs of rows is compared."""
    clusters = visit(sample, centroids, min_cosine, slack=search.slack, max_memory_mb=search.max_memory_mb)
    edges = (clusters.owner_edges, clusters.visitor_edges)
    owners, visitors = (np.diff(some) / len(sample) for some in edges)
    return float((owners * (owners / 2 + visitors)).sum())


def brute_force_pairs(vectors: Vectors, min_cosine: float, *, max_memory_mb: int = 2048) -> Pairs:
    """Compare all rows with all, block by block."""
    n = len(vectors)
    block = block_rows(vectors.shape[1], max_memory_mb)
    found = PairCollector(n, max_memory_mb=max_memory_mb, advice=ADVICE)
    starts = range(0, n, block)
    for start in progress(starts, label="compare embeddings", unit="block"):
        some = read(vectors, slice(start, start + block))
        for other in range(start, n, block):
            i, j = true_places(some @ read(vectors, slice(other, other + block)).T >= min_cosine)
            found.add(i + start, j + other)
    return found.pairs()


def pairs_of(
    rows: Int[np.ndarray, " m"], vectors: Vectors, min_cosine: float, *, max_memory_mb: int = 2048
) -> Pairs:
    """Find every pair that has one of these rows, by comparing them with all."""
    block = block_rows(vectors.shape[1], max_memory_mb)
    found = PairCollector(len(vectors), max_memory_mb=max_memory_mb, advice=ADVICE)
    for start in progress(range(0, len(vectors), block), label="compare some with all", unit="block"):
        others = read(vectors, slice(start, start + block))
        for at in range(0, len(rows), block):
            i, j = true_places(read(vectors, rows[at : at + block]) @ others.T >= min_cosine)
            found.add(rows[at + i], j + start)
    return found.pairs()


def probe_recall(
    vectors: Vectors, found: Pairs, min_cosine: float, *, rows: int, seed: int, max_memory_mb: int = 2048
) -> dict[str, int | float]:
    """Compare random rows with all, and measure what share of their near pairs the search has found.

    Pairs within rounding of the threshold (1e-5) may fall on either side and are left out.
    """
    n = len(vectors)
    probed = np.sort(seeded_numpy(seed, "probe").permutation(n)[:rows])
    true = pairs_of(probed, vectors, min_cosine + 1e-5, max_memory_mb=max_memory_mb)
    hits = np.isin(true.keys(n), found.keys(n))
    return {"probe_rows": len(probed), **share_metrics("probe_recall", int(hits.sum()), len(true))}
