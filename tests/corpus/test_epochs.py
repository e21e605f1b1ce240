"""Every row comes as often as its weight says, in an order that depends on seed and position alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.corpus.epochs import batches_of, epoch_order


@given(st.lists(st.floats(0, 5), min_size=1, max_size=40).filter(lambda w: sum(w) > 0.1), st.integers(0, 9))
def test_every_row_comes_floor_or_ceil_of_its_weight_times(weights, epoch):
    order = epoch_order(np.array(weights), seed=1, epoch=epoch)
    times = np.bincount(order, minlength=len(weights))
    expected = np.array(weights) / np.mean(weights)
    assert len(order) == len(weights)
    assert (np.abs(times - expected) < 1 + 1e-9).all()


def test_equal_weights_give_a_permutation_that_changes_with_the_epoch():
    first, second = (epoch_order(np.ones(50), seed=1, epoch=epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)


def test_weights_are_met_on_average():
    weights = np.array([0.3, 0.9, 1.8, 1.0])
    times = sum(np.bincount(epoch_order(weights, seed=3, epoch=e), minlength=4) for e in range(2000)) / 2000
    assert times == pytest.approx(weights, abs=0.04)


def test_batches_of_any_size_run_through_the_same_epochs():
    rows, weights = np.arange(100, 110), np.linspace(0.5, 1.5, 10)
    draw = batches_of(rows, weights, seed=2)
    whole = draw(0, 60)
    parts = [draw(seen, 4) for seen in range(0, 60, 4)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(whole[10:20], rows[epoch_order(weights, seed=2, epoch=1)])


def test_no_rows_are_a_clear_error():
    with pytest.raises(ValueError, match="empty selection"):
        batches_of(np.array([], int), np.array([]), seed=1)


def test_order_is_keyed_by_seed_and_epoch_and_by_nothing_else():
    weights = np.ones(50)
    draw, again = (batches_of(np.arange(50), weights, seed=4) for _ in range(2))
    later = again(170, 16)  # asked for first here, last there
    assert np.array_equal([draw(seen, 16) for seen in range(0, 170, 10)][-1], again(160, 16))
    assert np.array_equal(draw(170, 16), later)
    assert not np.array_equal(draw(0, 50), batches_of(np.arange(50), weights, seed=5)(0, 50))


def test_few_shards_at_a_time_still_give_every_row_its_weight():
    shards, weights = np.repeat(np.arange(12), 10), np.linspace(0.5, 1.5, 120)
    rows = np.arange(120) + 7
    draw = batches_of(rows, weights, seed=1, shards=shards, mixed_shards=3)
    for epoch in range(3):
        drawn = draw(120 * epoch, 120) - 7
        assert np.array_equal(np.sort(drawn), np.sort(epoch_order(weights, seed=1, epoch=epoch)))
        turns = np.flatnonzero(np.diff(_turn(shards[drawn], 3)))
        assert len(turns) == 3  # four groups of three shards, one after the other
    assert not np.array_equal(draw(0, 120), draw(120, 120))


def _turn(shards: np.ndarray, mixed: int) -> list[int]:
    """Number the group of each draw by the order in which its shards first come, `mixed` to a group."""
    first = {shard: place for place, shard in enumerate(dict.fromkeys(shards.tolist()))}
    return [first[shard] // mixed for shard in shards.tolist()]
