import numpy as np
import pytest

from unclip_pipeline.metrics.frechet import frechet_distance
from unclip_pipeline.metrics.kernel import kid, mmd_rbf


def _plain_kid(x, y):
    """The definition, loop by loop."""

    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return xx + yy - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kid_is_its_definition_also_at_unequal_n():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 5)), rng.normal(0.5, 1, size=(8, 5))
    assert kid(x, y, extractor="").value == pytest.approx(_plain_kid(x, y), rel=1e-12)


@pytest.mark.parametrize("distance", [kid, mmd_rbf])
def test_kernel_distances_are_unbiased_and_cover_zero_on_equal_distributions(distance):
    rng = np.random.default_rng(1)
    drawn = [distance(rng.normal(size=(40, 6)), rng.normal(size=(60, 6)), extractor="") for _ in range(200)]
    values = np.array([estimate.value for estimate in drawn])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert np.mean([estimate.low <= 0 <= estimate.high for estimate in drawn]) > 0.9


def test_kernel_interval_covers_a_true_distance():
    rng = np.random.default_rng(2)
    true = kid(rng.normal(size=(3000, 4)), rng.normal(0.8, 1, size=(3000, 4)), extractor="").value
    drawn = [
        kid(rng.normal(size=(80, 4)), rng.normal(0.8, 1, size=(80, 4)), extractor="") for _ in range(150)
    ]
    assert 0.88 < np.mean([estimate.low <= true <= estimate.high for estimate in drawn]) < 0.99


def test_median_width_sees_a_mode_collapse_that_a_fixed_width_of_ten_does_not():
    rng = np.random.default_rng(3)
    real = rng.normal(size=(300, 64))
    few = rng.normal(size=(5, 64))
    collapsed = few[rng.integers(0, 5, 300)] - few.mean(0) + real.mean(0)
    again = rng.normal(size=(300, 64))
    floor = mmd_rbf(real, again, extractor="")
    assert mmd_rbf(real, collapsed, extractor="").low > 10 * abs(floor.value)
    assert frechet_distance(real, collapsed) > 2 * frechet_distance(real, again)


def test_identical_real_rows_are_refused():
    with pytest.raises(ValueError, match="differ"):
        mmd_rbf(np.ones((5, 2)), np.zeros((5, 2)), extractor="")
