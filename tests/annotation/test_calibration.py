import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.corpus.intervals import wilson
from unclip_pipeline.curation.annotation.exports import Answer
from unclip_pipeline.curation.annotation.labels import Labels, answer_table
from unclip_pipeline.curation.calibration import (
    CalibrationConfig,
    _claimed,
    calibrate,
    choose_threshold,
    copies,
    figures,
    in_memory,
    weighted_share,
)
from unclip_pipeline.curation.probe import Probe, fit_probe, standardised

UID = np.array([f"{row:04d}" for row in range(1200)], dtype=object)


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of which one in ten shows a concept, on one side of a plane."""
    random = np.random.default_rng(0)
    shows = random.random(1200) < 0.1
    vectors = random.normal(size=(1200, 16)).astype(np.float32)
    vectors[:, 3] += np.where(shows, 4.0, -1.0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), shows


def labels(rows: np.ndarray, says: np.ndarray, probability: float = 0.1, concept: str = "unsafe") -> Labels:
    answers = [
        Answer(UID[row], concept, "ann", bool(says[row]), probability, 1, "", "a.json") for row in rows
    ]
    return Labels(answer_table(answers), {})


def fit(world: tuple[np.ndarray, np.ndarray], found: Labels, **choices: float):
    vectors, _ = world
    config = CalibrationConfig(**choices)
    nothing = {"unsafe": np.zeros((1200, 0))}
    return calibrate(found, UID, in_memory(UID, vectors), nothing, config, seed=0)["unsafe"]


def test_a_probe_learns_what_labels_show(world) -> None:
    vectors, shows = world
    one = fit(world, labels(np.arange(240), shows))
    claimed = one.probability >= one.threshold
    assert one.reason == ""
    assert claimed[shows].mean() >= 0.95
    assert shows[claimed].mean() >= 0.9
    assert one.recall.low <= claimed[shows].mean() <= one.recall.high


def test_figures_come_from_probes_that_did_not_see_the_row(world) -> None:
    """Labels at random teach nothing: in the sample a probe of 16 numbers looks good, across folds it does not."""
    says = np.random.default_rng(1).random(1200) < 0.5
    one = fit(world, labels(np.arange(60), says), min_precision=0.0)
    crossed = one.labelled["probability"].to_numpy()
    hits, misses = crossed[says[:60]], crossed[~says[:60]]
    assert (hits[:, None] > misses[None]).mean() < 0.7


def test_a_row_is_claimed_by_the_threshold_of_the_other_folds() -> None:
    """The folds differ in level: each alone tells yes from no, neither by the other's threshold."""
    crossed, fold = np.array([0.9, 0.7, 0.5, 0.3]), np.array([0, 0, 1, 1])
    label, weight = np.array([True, False, True, False]), np.ones(4)
    probe = Probe(direction=np.zeros(1), offset=0.0, crossed=crossed, fold=fold)
    config = CalibrationConfig(min_per_class=5)
    assert _claimed(probe, label, weight, config).tolist() == [True, True, False, False]


def test_copies_share_a_fold() -> None:
    """Every picture twice, labelled at random: whoever saw the copy would know."""
    random = np.random.default_rng(2)
    once = random.normal(size=(60, 200)).astype(np.float32)
    label = random.random(60) < 0.5
    table, both = np.concatenate([once, once]), np.concatenate([label, label])
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    groups = copies(unit, 0.99)
    assert (groups[:60] == groups[60:]).all() and len(np.unique(groups)) == 60
    ones = np.ones(120)

    def knows(groups: np.ndarray) -> float:
        crossed = fit_probe(table, both, ones, groups, folds=5, seed=0).crossed
        return float((crossed[both][:, None] > crossed[~both][None]).mean())

    assert knows(groups) < 0.7
    assert knows(np.arange(120).astype(groups.dtype)) > 0.85


def test_without_enough_labels_the_rule_stays_and_says_why(world) -> None:
    _, shows = world
    assert fit(world, labels(np.zeros(0, int), shows)).reason == "there are no labels"
    assert fit(world, labels(np.flatnonzero(~shows)[:50], shows)).reason.startswith("0 of 50 labels say yes")
    assert fit(world, labels(np.flatnonzero(shows)[:50], shows)).reason.startswith("0 of 50 labels say no")
    unweighted = labels(np.arange(240), shows, probability=float("nan"))
    assert "inclusion_probability" in fit(world, unweighted).reason


def test_labels_of_another_concept_change_nothing(world) -> None:
    _, shows = world
    assert fit(world, labels(np.arange(240), shows, concept="other")).reason == "there are no labels"


def test_a_row_without_a_vector_is_not_judged(world) -> None:
    vectors, shows = world
    parts = in_memory(UID[:1100], vectors[:1100])
    nothing = {"unsafe": np.zeros((1200, 0))}
    found = labels(np.arange(1000, 1200), shows)
    one = calibrate(found, UID, parts, nothing, CalibrationConfig(), seed=0)["unsafe"]
    assert one.labels == 100
    assert np.isnan(one.probability[1100:]).all() and np.isfinite(one.probability[:1100]).all()


def test_what_else_is_known_helps_where_vectors_do_not(world) -> None:
    _, shows = world
    blind = np.random.default_rng(5).normal(size=(1200, 16)).astype(np.float32)
    blind /= np.linalg.norm(blind, axis=1, keepdims=True)
    said = {"unsafe": np.where(shows, 1.0, 0.0)[:, None]}
    one = calibrate(
        labels(np.arange(240), shows), UID, in_memory(UID, blind), said, CalibrationConfig(), seed=0
    )["unsafe"]
    claimed = one.probability >= one.threshold
    assert claimed[shows].mean() > 0.95 and shows[claimed].mean() > 0.9


def test_the_probability_says_how_common_the_concept_is(world) -> None:
    """Half of the labelled rows show it, one in ten of all do; weights tell the probe."""
    vectors, shows = world
    yes, no = np.flatnonzero(shows)[:60], np.flatnonzero(~shows)[:60]
    first = labels(yes, shows, probability=60 / shows.sum()).answers
    second = labels(no, shows, probability=60 / (~shows).sum()).answers
    one = fit(world, Labels(pd.concat([first, second], ignore_index=True), {}))
    assert abs(one.probability.mean() - shows.mean()) < 0.03


def test_a_weighted_share_with_equal_weights_is_the_plain_one() -> None:
    hits = np.arange(50) < 40
    share = weighted_share(hits, np.full(50, 7.0))
    assert (share.value, share.n) == (0.8, 50)
    assert (share.low, share.high) == pytest.approx(tuple(wilson(40, 50)))


def test_precision_and_recall_count_what_labelled_rows_stand_for() -> None:
    claimed, label = np.array([True, True, False, False]), np.array([True, False, True, False])
    precision, recall = figures(claimed, label, np.array([3.0, 1.0, 1.0, np.nan]))
    assert (precision.value, recall.value) == (0.75, 0.75)
    assert precision.n == recall.n == 1.6


def test_nothing_claimed_has_no_precision_and_no_recall_without_a_yes() -> None:
    nothing = np.zeros(3, bool)
    precision, recall = figures(nothing, nothing, np.ones(3))
    assert precision.value is None and recall.value is None


def threshold(probability: list[float], label: list[int], **choices: float) -> tuple[float, str]:
    n = len(label)
    return choose_threshold(
        np.array(probability), np.array(label, bool), np.ones(n), CalibrationConfig(**choices)
    )


def test_the_threshold_reaches_the_wanted_recall_for_sure_where_labels_suffice() -> None:
    probability = [*np.linspace(0.5, 0.99, 100), *np.linspace(0.01, 0.8, 100)]
    label = [1] * 100 + [0] * 100
    chosen, note = threshold(probability, label, wanted_recall=0.7, min_precision=0.0)
    caught = int((np.array(probability[:100]) >= chosen).sum())
    assert wilson(caught, 100).low >= 0.7
    assert note.startswith("the lower bound")


def test_the_threshold_says_when_its_recall_is_not_sure() -> None:
    chosen, note = threshold([0.9, 0.8, 0.7, 0.1, 0.2], [1, 1, 1, 0, 0], wanted_recall=0.95)
    assert chosen == 0.7 and "lower bound does not" in note


def test_what_cannot_be_had_together_is_balanced() -> None:
    probability = [0.9, 0.8, 0.3, *([0.5] * 20)]
    chosen, note = threshold(probability, [1, 1, 1, *([0] * 20)], min_precision=0.9)
    assert chosen == 0.8 and "out of reach" in note


def test_recall_that_costs_no_precision_is_taken() -> None:
    probability = [*np.linspace(0.2, 0.9, 40), *np.linspace(0.001, 0.1, 40)]
    chosen, _ = threshold(probability, [1] * 40 + [0] * 40, wanted_recall=0.8)
    assert chosen == pytest.approx(0.2)


def test_columns_are_brought_to_one_scale_and_what_is_unknown_to_the_middle() -> None:
    table = standardised(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]]))
    assert table.tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "fault", [{"wanted_recall": 1.0}, {"min_precision": 1.0}, {"folds": 1}, {"confidence": 0.0}]
)
def test_a_calibration_that_makes_no_sense_is_an_error(fault: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"calibration.{next(iter(fault))}"):
        CalibrationConfig(**fault)
