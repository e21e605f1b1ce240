import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.bias.representation import keep_ratios, log_keep_ratio, reference_group, shares
from unclip_pipeline.seeds import seeded_numpy


def labelled(**groups: int) -> pd.Series:
    names = [name for name, n in groups.items() for _ in range(n)]
    return pd.Series(names, index=[f"{row:04d}" for row in range(len(names))], name="group")


def some(labels: pd.Series, **counts: int) -> pd.Index:
    return pd.Index([uid for name, n in counts.items() for uid in labels.index[labels == name][:n]])


def test_every_stage_counts_every_group_and_the_unknown():
    labels = labelled(amber=10, teal=30, unknown=60)
    stages = {"scraped": labels.index, "kept": some(labels, amber=10, unknown=5)}
    table = shares(labels, stages).set_index(["stage", "group"])
    assert table.loc[("scraped", "amber"), "low"] == pytest.approx(0.05523, abs=1e-5)
    assert table.loc[("scraped", "amber"), "high"] == pytest.approx(0.17437, abs=1e-5)
    assert table.loc[("kept", "teal"), "n"] == 0
    assert table.groupby("stage")["share"].sum().to_list() == pytest.approx([1, 1])
    assert table.groupby("stage")["n"].sum().to_dict() == {"scraped": 100, "kept": 15}


def test_a_worked_example_of_unequal_filtering():
    """14% of one half and 6% of the other are dropped: the share falls from 50% to 47.78%."""
    labels = labelled(amber=5000, teal=5000)
    stages = {"scraped": labels.index, "filtered": some(labels, amber=4300, teal=4700)}
    ratios = keep_ratios(labels, stages, reference="teal").set_index(["group", "stage"])
    assert ratios.loc[("amber", "filtered"), "log_keep_ratio"] == pytest.approx(-0.08895, abs=1e-5)
    assert ratios.loc[("amber", "filtered"), "high"] < 0
    after = shares(labels, stages).set_index(["stage", "group"])
    assert after.loc[("filtered", "amber"), "share"] == pytest.approx(0.4778, abs=1e-4)


@given(st.tuples(*[st.integers(4, 60)] * 3), st.tuples(*[st.integers(1, 4)] * 2))
def test_log_keep_ratios_of_stages_add_up_to_the_shift_of_log_odds(before, divisors):
    labels = labelled(amber=before[0], teal=before[1], unknown=before[2])
    first = some(labels, amber=before[0] - 1, teal=before[1] - 2, unknown=before[2] - 3)
    left = {
        name: max(1, n // k)
        for name, n, k in zip(("amber", "teal"), (before[0] - 2, before[1] - 3), divisors, strict=True)
    }
    stages = {"scraped": labels.index, "filtered": first, "deduplicated": some(labels, **left)}
    ratios = keep_ratios(labels, stages, reference="teal").set_index(["group", "stage"])["log_keep_ratio"]
    amber = ratios["amber"]
    assert amber["filtered"] + amber["deduplicated"] == pytest.approx(amber["total"], abs=1e-9)
    odds_before, odds_after = before[0] / before[1], left["amber"] / left["teal"]
    assert amber["total"] == pytest.approx(math.log(odds_after / odds_before), abs=1e-9)


def test_leaving_a_stage_out_breaks_the_sum():
    labels = labelled(amber=100, teal=100)
    stages = {
        "scraped": labels.index,
        "filtered": some(labels, amber=50, teal=90),
        "deduplicated": some(labels, amber=40, teal=60),
    }
    amber = keep_ratios(labels, stages, reference="teal").set_index("stage")["log_keep_ratio"]
    assert abs(amber["deduplicated"] - amber["total"]) > 0.1


def test_a_group_that_is_gone_has_no_ratio():
    assert all(math.isnan(value) for value in log_keep_ratio(0, 50, 40, 50))


def test_intervals_cover_equal_treatment_by_a_random_filter():
    covered = []
    labels = labelled(amber=400, teal=600)
    for seed in range(150):
        kept = labels.index[seeded_numpy(seed, "filter").random(1000) < 0.8]
        row = keep_ratios(labels, {"scraped": labels.index, "filtered": kept}, reference="teal").iloc[0]
        covered.append(row["low"] <= 0 <= row["high"])
    assert 0.89 <= np.mean(covered) <= 0.99


def test_the_reference_is_the_largest_known_group():
    assert reference_group(labelled(amber=3, teal=5, unknown=50)) == "teal"
    with pytest.raises(ValueError, match="audit_axes"):
        reference_group(labelled(unknown=5))
