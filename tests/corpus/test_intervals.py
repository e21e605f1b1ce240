import pytest

from unclip_pipeline.corpus.intervals import share_metrics, wilson


def test_wilson_gives_the_published_bounds():
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 100) == pytest.approx((0.05523, 0.17437), abs=1e-5)


def test_wilson_mirrors():
    low, high = wilson(7, 30)
    assert wilson(23, 30) == pytest.approx((1 - high, 1 - low))


def test_nothing_counted_has_no_bounds():
    assert wilson(0, 0) == (None, None)
    assert share_metrics("kept", 0, 0) == {"kept_n": 0}


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="successes=3"):
        wilson(3, 2)
