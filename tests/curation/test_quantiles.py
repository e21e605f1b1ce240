import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unclip_pipeline.curation.quantiles import (
    exact_quantile,
    kth_smallest,
    lowest_share,
    ordered_float,
    ordered_keys,
    uid_numbers,
)

NUMBERS = st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=60)
SHARES = st.integers(0, 99).map(lambda percent: percent / 100)


def in_chunks(*columns, size=7):
    """Passes over columns in pieces, as over files."""

    def chunks():
        for start in range(0, len(columns[0]), size):
            part = tuple(column[start : start + size] for column in columns)
            yield part if len(part) > 1 else part[0]

    return chunks


@given(numbers=NUMBERS, fraction=SHARES)
def test_a_streamed_quantile_is_that_of_a_sort(numbers, fraction):
    scores = np.array(numbers)
    place = math.floor(fraction * len(scores) + 1e-9)
    assert exact_quantile(in_chunks(scores), fraction) == np.sort(scores)[place]


@given(numbers=NUMBERS, share=SHARES, seed=st.integers(0, 99))
@example(numbers=[-math.inf], share=0.0, seed=0)
def test_the_lowest_share_is_what_a_stable_sort_by_score_and_uid_takes(numbers, share, seed):
    scores = np.array(numbers)
    uids = np.random.default_rng(seed).permutation(len(scores)).astype(np.uint64)
    taken = lowest_share(in_chunks(scores, uids), share).takes(scores, uids)
    count = math.floor(share * len(scores) + 1e-9)
    assert set(np.flatnonzero(taken)) == set(np.lexsort((uids, scores))[:count])


@given(number=st.floats(allow_nan=False))
def test_a_float_comes_back_from_its_key(number):
    key = int(ordered_keys(np.array([number]))[0])
    assert ordered_float(key) == number


def test_keys_have_the_order_of_their_floats():
    numbers = np.array([-math.inf, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, math.inf])
    assert (np.diff(ordered_keys(numbers).astype(object)) > 0).all()


def test_ranks_are_found_among_the_largest_keys_as_well():
    keys = np.array([2**64 - 1, 0, 2**63, 2**64 - 2], np.uint64)
    assert [kth_smallest(in_chunks(keys, size=3), rank) for rank in range(4)] == sorted(keys.tolist())
    with pytest.raises(ValueError, match="rank 4 is beyond the 4 keys"):
        kth_smallest(in_chunks(keys), 4)


def test_scores_that_are_no_numbers_have_no_order():
    with pytest.raises(ValueError, match="1 are NaN"):
        exact_quantile(in_chunks(np.array([1.0, np.nan])), 0.5)


def test_a_quantile_of_nothing_and_a_fraction_beyond_one_are_errors():
    with pytest.raises(ValueError, match="at least one score"):
        exact_quantile(in_chunks(np.array([])), 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1"):
        exact_quantile(in_chunks(np.array([1.0])), 1.0)


def test_uids_keep_their_order_as_numbers():
    uids = ["00000000000000ff", "8000000000000000", "ffffffffffffffff"]
    assert uid_numbers(uids).tolist() == [255, 2**63, 2**64 - 1]
