import numpy as np
import pytest
from scipy.linalg import sqrtm

from unclip_pipeline.metrics.frechet import frechet, frechet_bias, frechet_difference, frechet_distance


def test_frechet_of_the_worked_example_is_one():
    """Means 2 and 2, variances 4 and 1 (ddof=1): (2 - 1)^2."""
    real, generated = np.array([[0.0], [2], [4]]), np.array([[1.0], [2], [3]])
    assert frechet_distance(real, generated) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 16), (60, 50, 128)])
def test_frechet_equals_the_matrix_square_root_form(n, m, d):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(0.3, 1.4, size=(m, d))
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.linalg.eigvals(cx @ cy).astype(complex)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy) - 2 * np.sqrt(root).real.sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    if n > d:
        assert frechet_distance(x, y) == pytest.approx(
            np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real), rel=1e-9
        )


def test_frechet_of_a_set_with_itself_is_zero_and_never_below():
    x = np.random.default_rng(0).normal(size=(40, 64))
    assert 0 <= frechet_distance(x, x) < 1e-9


def test_frechet_of_known_covariances_reaches_the_closed_form():
    """Sum of squared mean gaps plus sum of squared gaps of standard deviations."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, [1, 2], size=(200_000, 2))
    y = rng.normal([1, 0], [3, 2], size=(200_000, 2))
    assert frechet_distance(x, y) == pytest.approx(1 + 4, rel=0.02)


def test_frechet_is_biased_upward_by_the_small_sample_law():
    rng = np.random.default_rng(2)
    measured = [
        frechet_distance(rng.normal(size=(n, 32)), rng.normal(size=(n, 32))) * n
        for n in (200, 400)
        for _ in range(4)
    ]
    assert np.mean(measured) == pytest.approx(frechet_bias(32, 1, 1), rel=0.06)


def test_frechet_interval_has_the_width_of_repeated_draws():
    rng = np.random.default_rng(5)
    drawn = [
        frechet(rng.normal(size=(150, 8)), rng.normal(0.4, 1, size=(150, 8)), extractor="x")
        for _ in range(60)
    ]
    spread = np.std([estimate.value for estimate in drawn])
    claimed = np.mean([(estimate.high - estimate.low) / 2 / 1.96 for estimate in drawn])
    assert 0.75 < claimed / spread < 1.5


def test_frechet_refuses_unequal_numbers_of_rows():
    with pytest.raises(ValueError, match="equal n"):
        frechet(np.zeros((5, 2)), np.zeros((4, 2)), extractor="x")


def test_frechet_difference_is_the_difference_and_that_of_equal_sets_is_zero_beyond_doubt():
    rng = np.random.default_rng(6)
    real, near, far = rng.normal(size=(80, 4)), rng.normal(size=(80, 4)), rng.normal(1, 1, size=(80, 4))
    found = frechet_difference(real, near, far, extractor="x")
    assert found.value == pytest.approx(frechet_distance(real, near) - frechet_distance(real, far))
    assert found.high < 0
    assert frechet_difference(real, near, near, extractor="x")[:3] == (0, 0, 0)


def test_pairing_makes_the_interval_of_a_frechet_difference_narrower():
    rng = np.random.default_rng(7)
    real, one = rng.normal(size=(150, 4)), rng.normal(0.5, 1, size=(150, 4))
    paired = one + rng.normal(0, 0.1, size=one.shape)
    widths = [
        found.high - found.low
        for found in (
            frechet_difference(real, one, other, extractor="x") for other in (paired, rng.permutation(paired))
        )
    ]
    assert widths[0] < widths[1] / 2
