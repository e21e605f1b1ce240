import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.bias.reweighting import clipped_to_mean_1, post_stratify, weighted_mean


def cells(**counts: int) -> pd.Series:
    names = [name for name, n in counts.items() for _ in range(n)]
    return pd.Series(names, index=[f"{row:04d}" for row in range(len(names))])


BEFORE = cells(chef_amber=50, chef_teal=50, farmer_amber=40, farmer_teal=60)
KEPT = pd.Index([uid for uid in BEFORE.index if not (BEFORE[uid] == "chef_amber" and int(uid) < 30)])


def shares(weights: pd.Series) -> pd.Series:
    return weights.groupby(BEFORE.reindex(weights.index)).sum() / weights.sum()


def test_weights_bring_cells_back_to_what_was_scraped():
    weighting = post_stratify(BEFORE, KEPT, before=BEFORE.index, target="scraped", clip=10.0)
    assert shares(weighting.weights).to_dict() == pytest.approx(
        {"chef_amber": 0.25, "chef_teal": 0.25, "farmer_amber": 0.2, "farmer_teal": 0.3}
    )
    assert weighting.weights.mean() == pytest.approx(1)
    assert 0.7 < weighting.effective_share < 1


def test_parity_makes_all_cells_alike():
    weights = post_stratify(BEFORE, KEPT, before=BEFORE.index, target="parity", clip=10.0).weights
    assert shares(weights).tolist() == pytest.approx([0.25] * 4)


def test_a_filter_that_changes_nothing_gives_equal_weights():
    weighting = post_stratify(BEFORE, BEFORE.index, before=BEFORE.index, target="scraped", clip=3.0)
    assert weighting.weights.to_numpy() == pytest.approx(np.ones(200))
    assert weighting.effective_share == pytest.approx(1)


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=30), st.floats(1.5, 5))
def test_clipped_weights_have_mean_one_and_keep_their_order(ratio, clip):
    weights = clipped_to_mean_1(np.array(ratio), clip)
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= clip * 1.01
    ordered = weights[np.argsort(ratio, kind="stable")]
    assert (np.diff(ordered) >= -1e-9).all()


def test_weights_that_clipping_moves_are_scaled_and_clipped_again_until_both_hold():
    """Once is not enough: scaling to mean 1 lifts the clipped ones out of their bounds again."""
    weights = clipped_to_mean_1(np.array([100.0] * 5 + [1.0] * 95), 2.0)
    assert weights.mean() == pytest.approx(1)
    assert 0.5 - 1e-9 <= weights.min() and weights.max() <= 2 + 1e-9


def test_a_weighted_mean_leans_to_what_weighs_more():
    assert weighted_mean(np.array([0.0, 1.0]), np.array([1.0, 3.0])) == 0.75


@pytest.mark.parametrize("wrong", [{"target": "fair"}, {"min_probability": 2.0}, {"clip": 0.5}])
def test_impossible_choices_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"audit_data.{next(iter(wrong))}"):
        AuditConfig(**wrong)
