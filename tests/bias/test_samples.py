import numpy as np
import pytest

from unclip_pipeline.bias.samples import jensen_shannon_bits, parity, spread, total_variation


def test_distances_of_share_vectors_are_the_closed_forms():
    half, all_one = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    assert total_variation(all_one, half) == 0.5
    assert jensen_shannon_bits(all_one, half) == pytest.approx(
        0.5 * np.log2(4 / 3) + 0.25 * np.log2(2 / 3) + 0.25
    )
    assert jensen_shannon_bits(all_one, np.array([0.0, 1.0])) == pytest.approx(1.0)
    assert total_variation(half, half) == jensen_shannon_bits(half, half) == 0.0


@pytest.mark.parametrize(("n", "tv", "p95", "jsd"), [(9, 0.387, 0.50, 0.252), (50, 0.167, 0.24, 0.036)])
def test_the_floor_under_parity_is_the_published_one_for_ten_groups(n, tv, p95, jsd):
    counts = np.random.default_rng(0).multinomial(n, np.full(10, 0.1))
    result = parity(counts, np.full(10, 0.1), np.random.default_rng(1))
    assert result.tv_floor == pytest.approx(tv, rel=0.03)
    assert result.tv_floor_p95 == pytest.approx(p95, abs=0.07)
    assert result.jsd_floor_bits == pytest.approx(jsd, rel=0.05)


def test_a_fair_model_is_rejected_at_most_one_time_in_twenty():
    rng, reference = np.random.default_rng(2), np.array([0.6, 0.3, 0.1])
    p = [parity(rng.multinomial(60, reference), reference, rng).p for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) <= 0.1


@pytest.mark.parametrize(("n", "true"), [(60, 0.0), (60, 0.1), (60, 0.3), (400, 0.15)])
def test_the_bounds_cover_the_true_distance(n, true):
    """The percentile bootstrap covers 0% at a true distance of 0 and 23% at .05."""
    rng, reference = np.random.default_rng(3), np.array([0.5, 0.3, 0.2])
    truth = reference + np.array([true, -true / 2, -true / 2])
    results = [parity(rng.multinomial(n, truth), reference, rng) for _ in range(40)]
    assert np.mean([r.tv_low - 1e-9 <= true <= r.tv_high + 1e-9 for r in results]) >= 0.85


def test_nine_pictures_cannot_show_a_bias_that_four_hundred_show():
    reference = np.array([0.5, 0.5])
    few = parity(np.array([6, 3]), reference, np.random.default_rng(0))
    many = parity(np.array([267, 133]), reference, np.random.default_rng(0))
    assert few.p > 0.05 > many.p
    assert few.tv_low == 0 < many.tv_low
    assert few.tv_high > 0.3


def test_spread_of_a_collapsed_model_is_near_zero_and_of_an_equal_one_covers_one():
    rng = np.random.default_rng(0)
    training = rng.normal(size=(60, 8))
    collapsed = training[:1] + rng.normal(0, 0.02, (60, 8))
    assert spread(collapsed, training).high < 0.1
    covered = [spread(rng.normal(size=(50, 8)), rng.normal(size=(60, 8))) for _ in range(100)]
    assert np.mean([s.low <= 1 <= s.high for s in covered]) >= 0.85


def test_spread_of_a_line_is_counted_by_hand():
    """Distances 1, 1, 2 against 2, 2, 4."""
    line = np.array([[0.0], [1.0], [2.0]])
    assert spread(line, 2 * line).ratio == pytest.approx(0.5)


def test_too_few_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        spread(np.zeros((2, 3)), np.zeros((9, 3)))
