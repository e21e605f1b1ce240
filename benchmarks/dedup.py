"""Compare ways to find near duplicates among embeddings: what each finds, and what it costs.

Run by hand: `python benchmarks/dedup.py --rows 20000 100000`. Every method runs in a process of its own on
one thread. Unit vectors have 512 dimensions and lie around topics; a tenth of them are copies, planted in
groups of up to 8 and one of 200, with cosines spread over [0.95, 1]. `--directed` moves that share of the
copies within few directions, as crops do, instead of all. "removable" is the share of the rows that a perfect
search would drop. Brute force beyond 50,000 rows is extrapolated from the time of 2,048 of them.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple

import faiss
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from unclip_pipeline.curation.margin import k_means, read
from unclip_pipeline.curation.neighbours import SearchConfig, brute_force_pairs, cosine_pairs, pairs_of
from unclip_pipeline.curation.pairs import Pairs, union
from unclip_pipeline.provenance import hardware
from unclip_pipeline.seeds import seeded_numpy

WIDTH = 512
MIN_COSINE = 0.95
GIANT = 200
DIRECTIONS = 16
BRUTE_FORCE_ROWS = 50_000
SAMPLED_ROWS = 2048

Search = Callable[[np.ndarray], Pairs]


class Planted(NamedTuple):
    """Unit vectors, and all their pairs of at least the threshold."""

    vectors: np.ndarray
    pairs: Pairs


class Outcome(NamedTuple):
    """What one method found and needed; memory is beside the vectors."""

    pairs: Pairs
    cpu_s: float
    memory_mb: float


def plant(n: int, *, directed: float, half: bool, seed: int) -> Planted:
    """Draw vectors around topics, and move copies of some of them by so much that they stay near."""
    rng = seeded_numpy(seed, "plant", n)
    copies = n // 10
    topics = _unit(rng.standard_normal((n // 500, WIDTH), dtype=np.float32))
    vectors = np.empty((n, WIDTH), np.float32)
    for rows in np.array_split(np.arange(n - copies), max(1, n // 50_000)):
        noise = _unit(rng.standard_normal((len(rows), WIDTH), dtype=np.float32))
        vectors[rows] = _unit(topics[rng.integers(len(topics), size=len(rows))] + 1.2 * noise)
    source = np.concatenate([np.zeros(GIANT - 1, np.int64), _sources(copies - GIANT + 1, n - copies, rng)])
    vectors[n - copies :] = _moved(vectors[source], directed, rng)
    vectors = vectors.astype(np.float16) if half else vectors
    return Planted(vectors, _true_pairs(vectors, source))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _sources(count: int, originals: int, rng: np.random.Generator) -> np.ndarray:
    """Choose what is copied: each original 1 to 7 times."""
    times = rng.integers(1, 8, count)
    return np.repeat(rng.choice(originals - 1, count, replace=False) + 1, times)[:count]


def _moved(vectors: np.ndarray, directed: float, rng: np.random.Generator) -> np.ndarray:
    shift = rng.standard_normal(vectors.shape, dtype=np.float32)
    few = _unit(rng.standard_normal((DIRECTIONS, WIDTH), dtype=np.float32))
    along = rng.standard_normal((len(vectors), DIRECTIONS), dtype=np.float32) @ few
    shift = np.where(rng.random((len(vectors), 1)) < directed, along, shift)
    shift = _unit(shift - (shift * vectors).sum(1, keepdims=True) * vectors)
    cosine = rng.uniform(MIN_COSINE, 1, (len(vectors), 1)).astype(np.float32)
    return cosine * vectors + np.sqrt(1 - cosine**2) * shift


def _true_pairs(vectors: np.ndarray, source: np.ndarray) -> Pairs:
    """List the pairs within each group that reach the threshold; topics lie too far apart for others."""
    copies = len(vectors) - len(source) + np.arange(len(source))
    first, second = [], []
    for original, members in pd.Series(copies).groupby(source):
        rows = np.array([original, *members])
        i, j = np.nonzero(np.triu(read(vectors, rows) @ read(vectors, rows).T >= MIN_COSINE, 1))
        first.append(rows[i])
        second.append(rows[j])
    return union(len(vectors), Pairs(np.concatenate(first), np.concatenate(second)))


def clustered(vectors: np.ndarray, *, k: int, clusterings: int = 1) -> Pairs:
    """Compare within clusters only, as SemDeDup does; several clusterings are put together."""
    found = []
    for seed in range(clusterings):
        centroids = k_means(vectors, k, seed=seed)
        owner = np.concatenate(
            [
                (read(vectors, slice(start, start + 4096)) @ centroids.T).argmax(1)
                for start in range(0, len(vectors), 4096)
            ]
        )
        for rows in np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner, minlength=k))):
            own = read(vectors, rows)
            for start in range(0, len(rows), 2048):
                i, j = np.nonzero(own[start : start + 2048] @ own[start:].T >= MIN_COSINE)
                near = Pairs(rows[i + start], rows[j + start])
                found.append(near.where(near.first < near.second))
    return union(len(vectors), *found)


def margin(vectors: np.ndarray, *, slack: float, max_memory_mb: int) -> Pairs:
    """Search as the pipeline does; the number of clusters is its choice."""
    search = SearchConfig(brute_force_rows=0, slack=slack, max_memory_mb=max_memory_mb)
    return cosine_pairs(vectors, MIN_COSINE, search)


def faiss_range(vectors: np.ndarray, *, k: int, probes: int) -> Pairs:
    """Search an inverted file of faiss by range."""
    rows = read(vectors, slice(None))
    index = faiss.index_factory(WIDTH, f"IVF{k},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows[:: max(1, len(rows) // (64 * k))])
    index.add(rows)
    index.nprobe = probes
    edges, _, other = index.range_search(rows, MIN_COSINE)
    one = np.repeat(np.arange(len(rows)), np.diff(edges.astype(np.int64)))
    both = Pairs(np.minimum(one, other), np.maximum(one, other))
    return union(len(rows), both.where(one != other))


def brute(vectors: np.ndarray) -> Pairs:
    """Compare all with all, or 2,048 rows with all where that would take too long."""
    if len(vectors) <= BRUTE_FORCE_ROWS:
        return brute_force_pairs(vectors, MIN_COSINE)
    return pairs_of(np.arange(SAMPLED_ROWS), vectors, MIN_COSINE)


def methods(n: int, max_memory_mb: int) -> dict[str, Search]:
    """Name every method with its settings for n rows; clusterings are of two sizes."""
    few, many = round(n**0.5 / 3), round(n**0.5)
    ours = partial(margin, max_memory_mb=max_memory_mb)
    return {
        "brute force": brute,
        f"faiss IVF{many} range_search, 1 probe": partial(faiss_range, k=many, probes=1),
        f"single clustering, K={few}": partial(clustered, k=few),
        f"single clustering, K={many}": partial(clustered, k=many),
        f"five clusterings, K={many}": partial(clustered, k=many, clusterings=5),
        "margin, exact": partial(ours, slack=1.0),
        "margin, slack 0.5": partial(ours, slack=0.5),
        "margin, slack 0.25": partial(ours, slack=0.25),
    }


def measure(search: Search, vectors: np.ndarray) -> Outcome:
    """Run a method in a process of its own, on one thread."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(search, vectors, send))
    child.start()
    send.close()
    outcome = receive.recv()
    child.join()
    return outcome


def _run(search: Search, vectors: np.ndarray, send: Connection) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        start = time.process_time()
        pairs = search(vectors)
        cpu_s = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send.send(Outcome(pairs, cpu_s, (after - before) / 1024))


def removable(n: int, pairs: Pairs) -> int:
    """Count the rows that would be dropped if every connected group kept one."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs.first, pairs.second)), (n, n))
    return n - connected_components(graph, directed=False)[0]


def compare(n: int, arguments: argparse.Namespace) -> pd.DataFrame:
    """Measure every method on the same vectors."""
    half = n >= arguments.half_from
    planted = plant(n, directed=arguments.directed, half=half, seed=arguments.seed)
    true_keys = planted.pairs.keys(n)
    rows = []
    for name, search in methods(n, arguments.max_memory_mb).items():
        if any(word in name for word in arguments.skip):
            continue
        pairs, cpu_s, memory_mb = measure(search, planted.vectors)
        sampled = name == "brute force" and n > BRUTE_FORCE_ROWS
        hits = np.isin(true_keys, pairs.keys(n)).sum()
        row = {
            "rows": n,
            "method": name,
            "cpu_s": cpu_s * n / 2 / SAMPLED_ROWS if sampled else cpu_s,
            "recall": np.nan if sampled else hits / len(true_keys),
            "removable": np.nan if sampled else removable(n, pairs) / removable(n, planted.pairs),
            "precision": np.nan if sampled else hits / max(1, len(pairs)),
            "memory_mb": memory_mb,
        }
        rows.append(row)
        print(f"{n:>9,}  {name:<40} {row['cpu_s']:8.2f} s", flush=True)
    return pd.DataFrame(rows)


def report(table: pd.DataFrame) -> str:
    """Put costs beside those of a single clustering, and growth from the fewest to the most rows."""
    single = table[table["method"].str.startswith("single")].groupby("rows")["cpu_s"].min()
    table = table.assign(times_single=table["cpu_s"] / single.reindex(table["rows"]).to_numpy())
    lines = [table.to_string(index=False, float_format=lambda value: f"{value:.4f}")]
    few, many = table["rows"].min(), table["rows"].max()
    family = table["method"].str.replace(r",? ?K=\d+", "", regex=True)
    for name, part in table.groupby(family, sort=False):
        times = part.set_index("rows")["cpu_s"].groupby(level=0).min()
        if many > few and {few, many} <= set(times.index):
            exponent = np.log(times[many] / times[few]) / np.log(many / few)
            lines.append(f"time of {name} grows as rows ** {exponent:.2f} from {few:,} to {many:,}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--directed", type=float, default=0.0, help="share of copies moved as crops are")
    parser.add_argument("--half-from", type=int, default=500_000, help="rows from which float16 is used")
    parser.add_argument("--max-memory-mb", type=int, default=2048)
    parser.add_argument("--skip", nargs="*", default=[], help="words of methods to leave out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{hardware()}; numpy {np.__version__}, faiss {faiss.__version__}; one thread per method")
    tables = [compare(n, arguments) for n in arguments.rows]
    print(report(pd.concat(tables, ignore_index=True)))


if __name__ == "__main__":
    main()
