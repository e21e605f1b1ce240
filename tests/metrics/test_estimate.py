import numpy as np
import pytest

from unclip_pipeline.metrics.estimate import (
    Estimate,
    block_jackknife,
    flatten,
    mean_of,
    share_difference,
    share_of,
)


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(0, 10, 0.0, 0.27753), (10, 100, 0.05523, 0.17437)])
def test_shares_carry_wilsons_interval(hits, n, low, high):
    estimate = share_of(np.arange(n) < hits)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-5)


def test_a_share_of_nothing_is_unknown_and_not_zero():
    assert np.isnan(share_of(np.zeros(0, bool)).value)
    assert flatten({"copies": share_of(np.zeros(0, bool))}) == {"copies_n": 0}


def test_flattened_estimates_keep_interval_and_number():
    flat = flatten({"fd": Estimate(1.0, 0.5, 1.5, 7, "clip")})
    assert flat == {"fd": 1.0, "fd_low": 0.5, "fd_high": 1.5, "fd_n": 7}


def test_a_mean_of_three_has_students_interval():
    """Values 1, 2, 3: half width 4.30265 (t, two degrees of freedom) times 1/sqrt(3)."""
    estimate = mean_of(np.array([1.0, 2.0, 3.0]))
    assert (estimate.value, estimate.high - 2) == pytest.approx((2.0, 4.302653 / np.sqrt(3)))


def test_mean_and_share_difference_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    means = [mean_of(rng.normal(3, 2, 20)) for _ in range(600)]
    shares = [share_difference(rng.random(150) < 0.2, rng.random(100) < 0.1) for _ in range(600)]
    assert 0.92 <= np.mean([e.low <= 3 <= e.high for e in means]) <= 0.98
    assert 0.92 <= np.mean([e.low <= 0.1 <= e.high for e in shares]) <= 0.98


def test_jackknife_of_a_difference_of_means_has_the_textbook_error():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (400, 1)), rng.normal(0, 3, (400, 1))
    estimate = block_jackknife(lambda a, b: float(a.mean() - b.mean()), x, y, blocks=400)
    textbook = 1.96 * np.sqrt(x.var(ddof=1) / 400 + y.var(ddof=1) / 400)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(textbook, rel=1e-4)
