import numpy as np
import pytest

from unclip_pipeline.metrics.prdc import prdc


def test_prdc_of_a_line_counted_by_hand():
    """k=1: balls of real 0, 1, 3 reach 1, 1, 2; of generated 0.5, 9, 10 reach 8.5, 1, 1."""
    real, generated = np.array([[0.0], [1], [3]]), np.array([[0.5], [9.0], [10.0]])
    result = prdc(real, generated, neighbours=1, extractor="")
    assert result.precision.value == pytest.approx(1 / 3)
    assert result.recall.value == 1.0
    assert result.density.value == pytest.approx(2 / 3)
    assert result.coverage.value == pytest.approx(2 / 3)


def test_prdc_border_is_excluded():
    result = prdc(np.array([[0.0], [1.0]]), np.array([[-1.0], [2.0]]), neighbours=1, extractor="")
    assert result.precision.value == 0.0


def test_equal_distributions_reach_one_and_a_collapsed_one_loses_coverage_only():
    rng = np.random.default_rng(0)
    real, again = rng.normal(size=(400, 4)), rng.normal(size=(400, 4))
    same = prdc(real, again, neighbours=5, extractor="")
    assert same.density.value == pytest.approx(1, abs=0.1) and same.coverage.value > 0.9
    collapsed = prdc(
        real, again[:4].repeat(100, 0) + rng.normal(0, 1e-3, (400, 4)), neighbours=5, extractor=""
    )
    assert collapsed.coverage.value < 0.2 < 0.7 < collapsed.precision.value


def test_repeated_real_rows_do_not_shrink_the_balls():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    once = prdc(real, generated, neighbours=3, extractor="")
    assert prdc(np.repeat(real, 4, 0), generated, neighbours=3, extractor="") == once


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="neighbours"):
        prdc(np.zeros((9, 2)), np.zeros((9, 2)), neighbours=5, extractor="")
