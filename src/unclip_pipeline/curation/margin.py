"""All pairs of near vectors by margin-visited k-means: every pair, whatever the clusters are.

Each row is owned by the cluster of its highest product with a centroid. If x.y >= t, x and y lie within
r = sqrt(2 (1 - t)) of each other; if two clusters own them, the boundary between these lies between x and
y, so one of them is within r / 2 of it. Hence each row also visits every cluster whose boundary is that
near, owners are compared with owners and visitors, and no pair is missed. Centroids change only the cost.

A near duplicate's shift along one direction of many is far shorter than r / 2: with `slack` < 1 rows visit
only what lies within slack * r / 2, which finds nearly all pairs at nearly the cost of one clustering.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from unclip_pipeline.curation.pairs import PairCollector, Pairs
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seeded_numpy

Vectors = Float[np.ndarray, "n d"]
ADVICE = "raise deduplicate.min_cosine or deduplicate.max_memory_mb"
TOLERANCE = {"float32": 1e-5, "float16": 1e-3}  # rounding that a margin must allow for, by storage
SAMPLE_PER_CLUSTER = 64
ITERATIONS = 4
CACHED_BYTES = 2**20  # products of a block of rows with all centroids; more leaves the processor's cache


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Which rows each of k clusters has: owners first by cluster, then visitors by cluster."""

    owners: Int[np.ndarray, " n"]
    owner_edges: Int[np.ndarray, " e"]
    visitors: Int[np.ndarray, " v"]
    visitor_edges: Int[np.ndarray, " e"]

    def __len__(self) -> int:
        return len(self.owner_edges) - 1


def margin_pairs(
    vectors: Vectors,
    min_cosine: float,
    centroids: Float32[np.ndarray, "k d"],
    *,
    slack: float = 1.0,
    max_memory_mb: int = 2048,
) -> Pairs:
    """Find all pairs of unit vectors with at least this cosine; with slack below 1, nearly all.

    Half-precision vectors are brought back to length 1 and compared in float32.
    """
    clusters = visit(vectors, centroids, min_cosine, slack=slack, max_memory_mb=max_memory_mb)
    found = PairCollector(len(vectors), max_memory_mb=max_memory_mb, advice=ADVICE)
    block = block_rows(vectors.shape[1], max_memory_mb)
    for number in progress(range(len(clusters)), label="compare embeddings", unit="cluster"):
        for a, b in _block_pairs(clusters, number, block):
            i, j = true_places(read(vectors, a) @ read(vectors, b).T >= min_cosine)
            found.add(a[i], b[j])
    return found.pairs()


def visit(
    vectors: Vectors,
    centroids: Float32[np.ndarray, "k d"],
    min_cosine: float,
    *,
    slack: float = 1.0,
    max_memory_mb: int = 2048,
) -> Clusters:
    """Assign every row to its cluster and to those that it must visit."""
    n, k = len(vectors), len(centroids)
    reach = slack * np.sqrt((1 - min_cosine) / 2) * _distances(centroids)
    reach += TOLERANCE[str(vectors.dtype)]
    np.fill_diagonal(reach, -np.inf)  # nobody visits its own
    owner = np.empty(n, np.int64)
    visiting: list[np.ndarray] = []
    places: list[np.ndarray] = []
    step = max(1, min(CACHED_BYTES, max_memory_mb * 2**20 // 8) // (4 * k))
    for start in progress(range(0, n, step), label="assign clusters", unit="block"):
        rows = np.arange(start, min(start + step, n))
        products = read(vectors, rows) @ centroids.T
        owner[rows] = own = products.argmax(axis=1)
        behind = np.subtract(products[np.arange(len(rows)), own][:, None], products, out=products)
        near, where = true_places(behind <= reach[own])
        visiting.append(rows[near])
        places.append(where)
    visitors, clusters = np.concatenate(visiting), np.concatenate(places)
    return Clusters(
        owners=np.argsort(owner, kind="stable"),
        owner_edges=_edges(owner, k),
        visitors=visitors[np.argsort(clusters, kind="stable")],
        visitor_edges=_edges(clusters, k),
    )


def k_means(vectors: Vectors, k: int, *, seed: int, max_memory_mb: int = 2048) -> Float32[np.ndarray, "k d"]:
    """Find unit centroids on a random sample by a few of Lloyd's steps; an empty cluster stays put."""
    rng = seeded_numpy(seed, "k_means")
    rows = np.sort(rng.choice(len(vectors), min(len(vectors), SAMPLE_PER_CLUSTER * k), replace=False))
    centroids = read(vectors, rng.choice(rows, min(k, len(rows)), replace=False))
    step = block_rows(vectors.shape[1], max_memory_mb)
    for _ in progress(range(ITERATIONS), label="find clusters", unit="step"):
        sums = np.zeros_like(centroids)
        for start in range(0, len(rows), step):
            part = read(vectors, rows[start : start + step])
            _add_by_cluster(sums, part, (part @ centroids.T).argmax(axis=1))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-6), centroids)
    return centroids


def block_rows(width: int, max_memory_mb: int) -> int:
    """Choose how many rows are compared with as many others, so that a quarter of the memory suffices."""
    words = max_memory_mb * 2**20 / 4 / 8  # products in float32, their mask, the places in it
    return int(np.clip((np.sqrt(width**2 + words) - width) / 2, 64, 2048))


def read(vectors: Vectors, rows: Int[np.ndarray, " b"] | slice) -> Float32[np.ndarray, "b d"]:
    """Read rows as float32; those stored in half precision are brought back to length 1."""
    part = vectors[rows]
    if part.dtype == np.float32:
        return part
    part = part.astype(np.float32)
    return part / np.linalg.norm(part, axis=1, keepdims=True)


def true_places(mask: Bool[np.ndarray, "a b"]) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Find rows and columns of what is true, several times as fast as `numpy.nonzero`."""
    return np.divmod(np.flatnonzero(mask), max(mask.shape[1], 1))


def _block_pairs(
    clusters: Clusters, number: int, block: int
) -> Iterator[tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]]:
    """Cut one cluster into pairs of blocks, owners with owners and with visitors; none is left out."""
    owners = clusters.owners[slice(*clusters.owner_edges[number : number + 2])]
    visitors = clusters.visitors[slice(*clusters.visitor_edges[number : number + 2])]
    for start in range(0, len(owners), block):
        some = owners[start : start + block]
        others = np.concatenate([owners[start:], visitors])
        for at in range(0, len(others), block):
            yield some, others[at : at + block]


def _add_by_cluster(
    sums: Float32[np.ndarray, "k d"], part: Float32[np.ndarray, "b d"], owner: Int[np.ndarray, " b"]
) -> None:
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    sums[owner[order][starts]] += np.add.reduceat(part[order], starts)


def _distances(centroids: Float32[np.ndarray, "k d"]) -> Float32[np.ndarray, "k k"]:
    squares = np.einsum("kd,kd->k", centroids, centroids)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * centroids @ centroids.T, 0))


def _edges(clusters: Int[np.ndarray, " n"], k: int) -> Int[np.ndarray, " e"]:
    return np.concatenate([[0], np.cumsum(np.bincount(clusters, minlength=k))])
