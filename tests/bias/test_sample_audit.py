"""An audit of samplers whose bias is known."""

import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.bias.sample_audit import Pictures, Prompt, amplification, audit_metrics, audit_prompts

RNG = np.random.default_rng(0)
GROUPS = np.array(["amber", "teal", "unknown"])


def _pictures(shares, n, variety=1.0):
    labels = pd.DataFrame({"group": RNG.choice(GROUPS, n, p=shares)})
    return Pictures(
        labels, {"clip": RNG.normal(0, variety, (n, 5)), "random": RNG.normal(0, variety, (n, 9))}
    )


TRAINING = _pictures([0.5, 0.4, 0.1], 4000)
PROMPTS = [
    Prompt("chef", "a picture of a chef", _pictures([0.5, 0.4, 0.1], 100), TRAINING),
    Prompt("wizard", "a picture of a wizard", _pictures([0.9, 0.05, 0.05], 100), TRAINING),
    Prompt("farmer", "a picture of a farmer", _pictures([1, 0, 0], 100, variety=0.05), TRAINING),
]
AUDIT = audit_prompts(PROMPTS, min_spread=0.5, seed=0)


def _parity(word):
    return AUDIT.parity.set_index("word").loc[word]


def test_a_fair_sampler_shows_no_difference_and_a_biased_one_does():
    assert _parity("chef").q > 0.05 > _parity("wizard").q
    assert _parity("chef").tv_low == 0
    assert _parity("wizard").tv_low - 0.03 <= 0.4 <= _parity("wizard").tv_high + 0.03


def test_a_collapsed_sampler_is_called_so_and_its_shares_are_not_counted_as_a_finding():
    collapsed = AUDIT.spread.groupby("word")["collapsed"].any()
    assert collapsed.to_dict() == {"chef": False, "wizard": False, "farmer": True}
    metrics = audit_metrics(AUDIT)
    assert metrics["prompts_collapsed"] == 1
    assert metrics["differences_shown"] == 1  # the wizard; the farmer's q is small too, but not readable
    assert _parity("farmer").q < 0.05


def test_shares_sum_to_one_with_unknown_as_a_level():
    sums = AUDIT.shares.groupby("word")[["generated", "training"]].sum()
    assert np.allclose(sums, 1)
    assert "unknown" in set(AUDIT.shares["group"])


def test_a_group_that_training_never_shows_is_counted():
    training = Pictures(pd.DataFrame({"group": ["amber"] * 50}), TRAINING.features)
    drawn = Pictures(pd.DataFrame({"group": ["amber"] * 40 + ["teal"] * 20}), PROMPTS[0].drawn.features)
    audit = audit_prompts([Prompt("chef", "a chef", drawn, training)], min_spread=0.5, seed=0)
    assert audit.parity.loc[0, "tv"] == pytest.approx(1 / 3) and audit.parity.loc[0, "p"] < 0.001


def test_metrics_carry_interval_number_and_floor():
    metrics = audit_metrics(AUDIT)
    for suffix in ("", "_low", "_high", "_floor", "_n"):
        assert f"tv_group_wizard{suffix}" in metrics
    assert metrics["share_group_wizard_amber_training"] == pytest.approx(0.5, abs=0.03)


def _shares(generated):
    """Two prompts, two groups; training has .75/.25 and .25/.75, so 0.5 overall."""
    return pd.DataFrame({
        "prompt": ["p", "p", "q", "q"], "group": ["a", "b"] * 2, "training": [0.75, 0.25, 0.25, 0.75],
        "generated": generated,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("generated", "expected"),
    [([0.9, 0.1, 0.1, 0.9], 0.15), ([0.5, 0.5, 0.5, 0.5], -0.25), ([0.75, 0.25, 0.25, 0.75], 0.0),
     ([0.9, 0.1, 0.4, 0.6], 0.0)],
)  # fmt: skip
def test_amplification_is_the_worked_example_and_opposite_changes_cancel(generated, expected):
    assert amplification(_shares(generated)) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_audit():
    again = audit_prompts(PROMPTS, min_spread=0.5, seed=0)
    pd.testing.assert_frame_equal(AUDIT.parity, again.parity)


def test_training_shares_count_each_picture_as_often_as_the_model_saw_it():
    training = Pictures(
        pd.DataFrame({"group": ["amber", "teal"] * 30}), {"clip": RNG.normal(size=(60, 5))},
        np.tile([3.0, 1.0], 30),
    )  # fmt: skip
    drawn = Pictures(PROMPTS[0].drawn.labels, {"clip": PROMPTS[0].drawn.features["clip"]})
    audit = audit_prompts([Prompt("chef", "a chef", drawn, training)], min_spread=0.5, seed=0)
    assert audit.shares.set_index("group")["training"].to_dict() == {
        "amber": 0.75,
        "teal": 0.25,
        "unknown": 0,
    }


def test_an_audit_without_prompts_says_so_and_does_not_fail():
    metrics = audit_metrics(audit_prompts([], min_spread=0.5, seed=0))
    assert metrics == {"prompts": 0, "prompts_collapsed": 0, "differences_shown": 0}
