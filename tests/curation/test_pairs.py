import numpy as np
import pytest

from unclip_pipeline.curation.pairs import PairCollector, Pairs, union


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def test_union_holds_each_pair_once():
    a, b = Pairs(np.array([0, 1]), np.array([2, 3])), Pairs(np.array([1, 0]), np.array([3, 4]))
    assert as_set(union(5, a, b)) == {(0, 2), (1, 3), (0, 4)}
    assert len(union(5, a, b)) == 3


def test_a_collector_gives_each_pair_once_sorted_whatever_comes_first():
    found = PairCollector(9, max_memory_mb=1, advice="")
    found.add(np.array([5, 2, 3]), np.array([1, 8, 3]))
    found.add(np.array([1, 0]), np.array([5, 8]))
    pairs = found.pairs()
    assert pairs.first.tolist() == [1, 0, 2]
    assert pairs.second.tolist() == [5, 8, 8]


def test_repeated_pairs_do_not_count_towards_the_limit():
    found = PairCollector(300, max_memory_mb=1, advice="")
    a, b = np.triu_indices(150, 1)
    for _ in range(8):
        found.add(a, b)
    assert len(found.pairs()) == len(a)


def test_more_pairs_than_fit_are_stopped_with_advice():
    found = PairCollector(1000, max_memory_mb=1, advice="raise the threshold")
    with pytest.raises(ValueError, match="of 1,000 rows are this near; raise the threshold"):
        found.add(*np.triu_indices(1000, 1))
