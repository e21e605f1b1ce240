import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.curation import neighbours
from unclip_pipeline.curation.neighbours import Pairs, cosine_pairs, hash_pairs, union
from unclip_pipeline.seeds import seeded_numpy


def random_units(n: int, seed: int) -> np.ndarray:
    vectors = seeded_numpy(seed, "units").standard_normal((n, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@given(st.integers(0, 40), st.integers(0, 1000), st.sampled_from([0.2, 0.6, 0.9]))
def test_blocks_find_what_a_double_loop_finds(n, seed, min_cosine):
    vectors = random_units(n, seed)
    naive = {(i, j) for i in range(n) for j in range(i + 1, n) if vectors[i] @ vectors[j] >= min_cosine}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK", 7)
        found = cosine_pairs(vectors, min_cosine)
    assert as_set(found) == naive
    assert len(found) == len(naive)  # each pair once


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 40))
def test_hash_pairs_differ_in_at_most_so_many_bits(hashes, bits):
    naive = {
        (i, j) for i in range(len(hashes)) for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= bits
    }  # fmt: skip
    assert as_set(hash_pairs(np.array(hashes, np.uint64), bits)) == naive


def test_union_holds_each_pair_once():
    a, b = Pairs(np.array([0, 1]), np.array([2, 3])), Pairs(np.array([1, 0]), np.array([3, 4]))
    assert as_set(union(5, a, b)) == {(0, 2), (1, 3), (0, 4)}
    assert len(union(5, a, b)) == 3


def test_a_threshold_that_everything_passes_is_stopped_with_advice(monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_PAIRS", 10)
    with pytest.raises(ValueError, match="raise deduplicate.min_cosine"):
        cosine_pairs(random_units(50, 0), 0.01)


def test_many_rows_are_announced_with_the_time_they_take(monkeypatch, caplog):
    monkeypatch.setattr(neighbours, "BRUTE_FORCE_ROWS", 10)
    with caplog.at_level(logging.WARNING):
        cosine_pairs(random_units(11, 0), 0.99)
    assert "11 embeddings" in caplog.text
