import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.curation.margin import block_rows, k_means, margin_pairs, read, visit
from unclip_pipeline.curation.neighbours import (
    SearchConfig,
    brute_force_pairs,
    cosine_pairs,
    pairs_of,
    probe_recall,
)
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.seeds import seeded_numpy

CLUSTERED = SearchConfig(brute_force_rows=0)


def units(n: int, seed: int, width: int = 6) -> np.ndarray:
    vectors = seeded_numpy(seed, "units").standard_normal((n, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_copies(n: int, seed: int, width: int = 32) -> np.ndarray:
    """Unit vectors of which half are noisy copies of the others."""
    rng = seeded_numpy(seed, "copies")
    base = units(n // 2, seed, width)
    copies = base[rng.integers(0, n // 2, n - n // 2)] + rng.normal(0, 0.06, (n - n // 2, width))
    vectors = np.concatenate([base, copies]).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def naive(vectors: np.ndarray, min_cosine: float, rounding: float = 0.0) -> set[tuple[int, int]]:
    cosines = read(vectors, slice(None)).astype(np.float64) @ read(vectors, slice(None)).T.astype(np.float64)
    first, second = np.nonzero(np.triu(cosines >= min_cosine + rounding, 1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


@given(st.integers(0, 40), st.integers(0, 1000), st.sampled_from([0.2, 0.6, 0.9]))
def test_brute_force_finds_what_a_double_loop_finds(n, seed, min_cosine):
    vectors = units(n, seed)
    pairs = brute_force_pairs(vectors, min_cosine)
    assert as_set(pairs) == naive(vectors, min_cosine)
    assert len(pairs) == len(as_set(pairs))


@given(
    st.integers(1, 120), st.integers(0, 1000), st.sampled_from([0.3, 0.7, 0.9, 0.98]), st.integers(1, 40),
    st.booleans(), st.sampled_from(["float32", "float16"]),
)  # fmt: skip
def test_every_pair_is_found_whatever_the_centroids_are(n, seed, min_cosine, k, duplicated, storage):
    vectors = with_copies(max(n, 4), seed, width=5).astype(storage)
    centroids = units(k, seed + 1, 5) * seeded_numpy(seed, "lengths").uniform(0.3, 2, (k, 1))
    centroids = centroids.astype(np.float32)
    if duplicated:
        centroids = np.concatenate([centroids, centroids])
    found = as_set(margin_pairs(vectors, min_cosine, centroids))
    assert naive(vectors, min_cosine, 1e-5) <= found <= naive(vectors, min_cosine, -1e-5)


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_pair_that_lies_on_the_limit_is_found_whatever_rounding_does(storage):
    """Mirror images beside a boundary, just as far from it as the limit lets one be that need not visit."""
    rng, lost = seeded_numpy(0, "mirrored"), []
    for _ in range(300):
        turn = np.linalg.qr(rng.standard_normal((8, 8)))[0][:2]
        apart, aside = rng.uniform(0.05, 0.6), rng.uniform(0.7, 1.4)
        both = (np.array([[np.cos(a), np.sin(a)] for a in (apart, -apart)]) @ turn).astype(storage)
        centroids = np.array([[np.cos(a), np.sin(a)] for a in (aside, -aside)]) @ turn
        first, second = read(both, slice(None))
        limit = float(first @ second) - 1e-7  # the product itself is rounded, too
        lost.append(not len(margin_pairs(both, limit, centroids.astype(np.float32))))
    assert not any(lost)


@pytest.mark.parametrize("n", [1, 7, 400])
@pytest.mark.parametrize("clusters", [0, 1, 3, 500])
def test_a_search_by_clusters_equals_brute_force(n, clusters):
    vectors = with_copies(max(n, 2), 3)
    config = SearchConfig(brute_force_rows=0, clusters=clusters)
    assert as_set(cosine_pairs(vectors, 0.9, config)) == as_set(brute_force_pairs(vectors, 0.9))


def test_neither_seed_nor_block_size_nor_storage_order_changes_what_is_found():
    vectors = with_copies(900, 5)
    whole = cosine_pairs(vectors, 0.9, CLUSTERED, seed=0)
    small = cosine_pairs(vectors, 0.9, SearchConfig(brute_force_rows=0, max_memory_mb=1), seed=9)
    brute = brute_force_pairs(vectors, 0.9, max_memory_mb=1)
    for other in (small, brute):
        np.testing.assert_array_equal(whole.first, other.first)
        np.testing.assert_array_equal(whole.second, other.second)


def test_less_slack_visits_less_and_still_finds_almost_all():
    vectors = with_copies(2000, 7, width=64)
    centroids = k_means(vectors, 40, seed=0)
    every = margin_pairs(vectors, 0.8, centroids)
    half = margin_pairs(vectors, 0.8, centroids, slack=0.5)
    assert len(visit(vectors, centroids, 0.8, slack=0.5).visitors) < 0.5 * len(
        visit(vectors, centroids, 0.8).visitors
    )
    assert as_set(half) <= as_set(every)
    assert len(half) >= 0.99 * len(every)


def test_a_hot_cluster_is_split_into_pairs_of_blocks_and_not_into_halves():
    vectors = np.concatenate([units(50, 1, 16), np.repeat(units(1, 2, 16), 170, 0)])
    one_for_all = np.ones((1, 16), np.float32)
    found = margin_pairs(vectors, 0.95, one_for_all, max_memory_mb=1)
    assert block_rows(16, 1) < 170
    assert len(as_set(found)) >= 170 * 169 // 2


def test_k_means_is_the_same_for_the_same_seed_and_has_unit_centroids():
    vectors = with_copies(500, 1)
    centroids = k_means(vectors, 12, seed=4)
    np.testing.assert_array_equal(centroids, k_means(vectors, 12, seed=4))
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)


def test_placeholders_without_end_are_stopped_with_advice():
    same = np.repeat(units(1, 0), 3000, 0)
    config = SearchConfig(brute_force_rows=0, max_memory_mb=8)
    with pytest.raises(ValueError, match="raise deduplicate.min_cosine"):
        cosine_pairs(same, 0.9, config)


def test_the_pairs_of_some_rows_are_all_theirs():
    vectors = with_copies(300, 2)
    rows = np.array([3, 170, 299])
    mine = {pair for pair in naive(vectors, 0.9) if set(pair) & set(rows.tolist())}
    assert as_set(pairs_of(rows, vectors, 0.9, max_memory_mb=1)) == mine


def test_a_probe_measures_the_share_that_was_found():
    vectors = with_copies(600, 2)
    every = brute_force_pairs(vectors, 0.9)
    half = every.where(np.arange(len(every)) % 2 == 0)
    assert probe_recall(vectors, every, 0.9, rows=600, seed=0)["probe_recall"] == 1
    probe = probe_recall(vectors, half, 0.9, rows=600, seed=0)
    assert probe["probe_rows"] == 600
    assert probe["probe_recall_n"] == len(every)
    assert probe["probe_recall"] == pytest.approx(len(half) / len(every), abs=0.01)
    assert probe["probe_recall_low"] < 0.5 < probe["probe_recall_high"]
