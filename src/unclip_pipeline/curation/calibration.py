"""Labels turned into a rule: a linear probe per concept, a threshold at a wanted recall, and what it costs.

Every figure is of cross-fitted scores: a picture is judged by probes that saw neither it nor its copies.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Shaped

from unclip_pipeline.corpus.intervals import wilson
from unclip_pipeline.corpus.vectors import rows_of
from unclip_pipeline.curation.annotation.labels import Labels, consensus
from unclip_pipeline.curation.probe import Probe, features, fit_probe, standardised

Vectors = Callable[[], Iterable[tuple[Shaped[np.ndarray, " m"], Float32[np.ndarray, "m d"]]]]
"""Starts a new pass over uids and unit image vectors, part by part."""
NOTHING = np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """How labels become thresholds."""

    wanted_recall: float = 0.95  # of the pictures that show a concept, this share is to be caught
    min_precision: float = 0.9  # where both cannot be had, they are balanced
    min_per_class: int = 8  # labels "yes", and labels "no", below which a concept keeps its rule
    folds: int = 5
    same_cosine: float = 0.99  # pictures this near are judged together, never one by the other
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("wanted_recall", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"calibration.{name} must lie between 0 and 1, got {getattr(self, name)}; try 0.95"
                )
        if not 0 <= self.min_precision < 1:
            raise ValueError(
                f"calibration.min_precision must lie in [0, 1), got {self.min_precision}; try 0.9"
            )
        if not 0 < self.same_cosine <= 1:
            raise ValueError(
                f"calibration.same_cosine is a cosine in (0, 1], got {self.same_cosine}; try 0.99"
            )
        if self.folds < 2 or self.min_per_class < self.folds:
            raise ValueError(
                "calibration.folds must be at least 2 and calibration.min_per_class no less than folds, got "
                f"{self.folds} and {self.min_per_class}; try 5 and 8"
            )


class Share(NamedTuple):
    """A share estimated for the whole population, with Wilson's bounds at the effective sample size."""

    value: float | None
    low: float | None
    high: float | None
    n: float  # effective


class CalibratedConcept(NamedTuple):
    """What labels say of one concept. Where `reason` is not empty the probe is not to be used."""

    concept: str
    probability: Float[np.ndarray, " n"]  # that a row shows the concept; NaN where there is no probe
    threshold: float  # a row shows it where its probability is at least this
    precision: Share
    recall: Share
    labels: int
    positives: int
    reason: str = ""
    note: str = ""  # how the threshold was reached
    labelled: pd.DataFrame | None = None  # uid, label, votes, weight; probability, claimed: cross-fitted


def calibrate(
    labels: Labels,
    uid: Shaped[np.ndarray, " n"],
    vectors: Vectors,
    scores: Mapping[str, Float[np.ndarray, "n _"]],
    config: CalibrationConfig,
    *,
    seed: int,
) -> dict[str, CalibratedConcept]:
    """Fit a probe and a threshold for every concept of `scores`, and judge every row that has a vector.

    The columns of a concept's scores are what else tells of it, such as the evidence of its prompts and
    whether the caption names it (none: shape (n, 0)). Two passes over the vectors: one for the labelled
    rows, one for all.
    """
    place = {name: row for row, name in enumerate(uid)}
    columns = {concept: standardised(table) for concept, table in scores.items()}
    names, known = _gather(vectors, labels.uids & place.keys())
    fits = {
        concept: _fit(concept, consensus(labels, concept), names, known, table, place, config, seed)
        for concept, table in columns.items()
    }
    found = {concept: np.full(len(uid), np.nan) for concept in fits}
    if any(fit.probe is not None for fit in fits.values()):
        for part_uid, part in vectors():
            rows = np.array([place.get(name, -1) for name in part_uid], np.int64)
            own = rows >= 0
            for concept, fit in fits.items():
                if fit.probe is not None:
                    table = features(part[own], columns[concept][rows[own]])
                    found[concept][rows[own]] = fit.probe.probability(table)
    return {concept: fit.calibrated._replace(probability=found[concept]) for concept, fit in fits.items()}


def in_memory(uid: Shaped[np.ndarray, " n"], vectors: Float32[np.ndarray, "n d"]) -> Vectors:
    """Pass over vectors that are all there."""
    return lambda: [(uid, vectors)]


def figures(
    claimed: Bool[np.ndarray, " n"],
    label: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    confidence: float = 0.95,
) -> tuple[Share, Share]:
    """Estimate precision and recall of a claim in the population that weighted labels stand for.

    Ratios of Horvitz-Thompson totals (Hajek, 1971); rows without a weight are left out.
    """
    drawn = np.isfinite(weight)
    claimed, label, weight = claimed[drawn], label[drawn], weight[drawn]
    return (
        weighted_share(label[claimed], weight[claimed], confidence),
        weighted_share(claimed[label], weight[label], confidence),
    )


def weighted_share(
    hits: Bool[np.ndarray, " n"], weight: Float[np.ndarray, " n"], confidence: float = 0.95
) -> Share:
    """Estimate a share from weighted rows; the effective size is Kish's (1965), (sum w)^2 / sum w^2."""
    if not len(hits):
        return Share(None, None, None, 0.0)
    size = float(weight.sum() ** 2 / (weight**2).sum())
    value = min(1.0, float(weight[hits].sum() / weight.sum()))
    low, high = wilson(min(value * size, size), size, confidence)
    return Share(value, low, high, size)


class _Fit(NamedTuple):
    calibrated: CalibratedConcept  # but for the probabilities
    probe: Probe | None


def _gather(
    vectors: Vectors, wanted: Set[str]
) -> tuple[Shaped[np.ndarray, " n"], Float32[np.ndarray, "n d"]]:
    """Collect the vectors of these rows, as far as there are any, in the order of their uids."""
    if not wanted:
        return np.zeros(0, object), np.zeros((0, 0), np.float32)
    names, found = [], []
    for uid, part in vectors():
        rows = np.flatnonzero([name in wanted for name in uid])
        names.append(uid[rows])
        found.append(part[rows])
    uids = np.concatenate(names)
    order = np.argsort(uids)
    return uids[order], np.concatenate(found)[order]


def _fit(
    concept: str,
    labelled: pd.DataFrame,
    names: Shaped[np.ndarray, " m"],
    known: Float32[np.ndarray, "m _"],
    columns: Float[np.ndarray, "n _"],
    place: Mapping[str, int],
    config: CalibrationConfig,
    seed: int,
) -> _Fit:
    here = labelled[labelled["uid"].isin(names)].reset_index(drop=True)
    label, weight = here["label"].to_numpy(bool), here["weight"].to_numpy(float)
    if reason := _too_few(label, weight, config):
        return _Fit(_unused(concept, len(here), int(label.sum()), reason), None)
    vectors = known[rows_of(names, here["uid"].tolist(), what="the embeddings")]
    table = features(vectors, columns[[place[uid] for uid in here["uid"]]])
    groups = copies(vectors, config.same_cosine)
    probe = fit_probe(table, label, weight, groups, folds=config.folds, seed=seed)
    threshold, note = choose_threshold(probe.crossed, label, weight, config)
    claimed = _claimed(probe, label, weight, config)
    precision, recall = figures(claimed, label, weight, config.confidence)
    calibrated = CalibratedConcept(
        concept=concept,
        probability=NOTHING,
        threshold=threshold,
        precision=precision,
        recall=recall,
        labels=len(here),
        positives=int(label.sum()),
        note=note,
        labelled=here.assign(probability=probe.crossed, claimed=claimed),
    )
    return _Fit(calibrated, probe)


def _claimed(
    probe: Probe, label: Bool[np.ndarray, " n"], weight: Float[np.ndarray, " n"], config: CalibrationConfig
) -> Bool[np.ndarray, " n"]:
    """Judge labelled rows by probes and thresholds that both come from the other folds.

    A threshold that was chosen on the very rows it is judged by looks better than it is.
    """
    claimed = np.zeros(len(label), bool)
    for fold in np.unique(probe.fold):
        own, others = probe.fold == fold, probe.fold != fold
        if np.isfinite(weight[others & label]).any():
            threshold, _ = choose_threshold(probe.crossed[others], label[others], weight[others], config)
            claimed[own] = probe.crossed[own] >= threshold
    return claimed


def choose_threshold(
    probability: Float[np.ndarray, " n"],
    label: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    config: CalibrationConfig,
) -> tuple[float, str]:
    """Take the highest threshold whose recall surely reaches the target, else the highest that is said to.

    Recall that costs no precision is taken on top. If none is as precise as wanted too, the two are balanced (F1):
    to insist on either would let one wrong answer for a picture that stands for many decide.
    """
    steps = curve(probability, label, weight, config.confidence)
    precise = steps[steps["precision"] >= config.min_precision]
    for column, note in (
        ("recall_low", "the lower bound of recall reaches the target"),
        ("recall", "recall reaches the target, its lower bound does not: more labels would tell"),
    ):
        reaching = precise[precise[column] >= config.wanted_recall]
        if len(reaching):
            return _lowest_as_precise(steps, float(reaching["threshold"].max())), note
    precision, recall = steps["precision"], steps["recall"]
    best = steps.loc[(2 * precision * recall / (precision + recall)).idxmax(), "threshold"]
    return float(
        best
    ), "recall and precision as wanted are out of reach together; this one balances them (F1)"


def _lowest_as_precise(steps: pd.DataFrame, threshold: float) -> float:
    """Lower a threshold as far as precision does not fall below what it has there."""
    own = float(steps.loc[steps["threshold"] == threshold, "precision"].iloc[0])
    below = steps[(steps["threshold"] <= threshold)]
    lost = below.loc[below["precision"] < own - 1e-9, "threshold"]
    return float(
        below.loc[below["threshold"] > lost.max(), "threshold"].min()
        if len(lost)
        else below["threshold"].min()
    )


def curve(
    probability: Float[np.ndarray, " n"],
    label: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate precision and recall at each threshold that is the probability of a picture labelled yes."""
    drawn = np.isfinite(weight)
    rows = []
    for threshold in np.unique(probability[drawn & label]):
        precision, recall = figures(probability >= threshold, label, weight, confidence)
        rows.append((float(threshold), precision.value, recall.value, recall.low))
    return pd.DataFrame(rows, columns=["threshold", "precision", "recall", "recall_low"]).astype(float)


def copies(vectors: Float32[np.ndarray, "n d"], min_cosine: float) -> Shaped[np.ndarray, " n"]:
    """Number the groups of rows that are linked by at least this cosine."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return connected_components(csr_array(vectors @ vectors.T >= min_cosine), directed=False)[1]


def _unused(concept: str, labels: int, positives: int, reason: str) -> CalibratedConcept:
    """Say that a concept keeps the rule it has, and why."""
    nothing = Share(None, None, None, 0.0)
    return CalibratedConcept(concept, NOTHING, float("nan"), nothing, nothing, labels, positives, reason)


def _too_few(
    label: Bool[np.ndarray, " n"], weight: Float[np.ndarray, " n"], config: CalibrationConfig
) -> str:
    if not len(label):
        return "there are no labels"
    for word, own in (("yes", label), ("no", ~label)):
        if own.sum() < config.min_per_class:
            return f"{int(own.sum())} of {len(label)} labels say {word}, {config.min_per_class} are needed"
        if not np.isfinite(weight[own]).any():
            return (
                f"none of the {int(own.sum())} labels {word} has an inclusion_probability, so that nobody knows for "
                "how many pictures each stands; label pictures that `annotate` chose and keep that column, or write "
                "1 there where every picture was labelled"
            )
    return ""
