"""What the labels so far say of the filter: rules before and after them, on the same pictures."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from unclip_pipeline.corpus.vectors import rows_of
from unclip_pipeline.curation.annotation.agreement import Agreement, agreement
from unclip_pipeline.curation.annotation.choosing import guessed_chance, learnt_chance
from unclip_pipeline.curation.annotation.evidence import concept_scores, ruled, said
from unclip_pipeline.curation.annotation.labels import Labels, consensus, ties
from unclip_pipeline.curation.calibration import (
    CalibratedConcept,
    CalibrationConfig,
    Share,
    calibrate,
    figures,
    in_memory,
)
from unclip_pipeline.curation.concepts import concept_rule
from unclip_pipeline.curation.rules import FilterConfig


class ConceptStudy(NamedTuple):
    """One concept. Figures are of the population, estimated from the labelled rows that were drawn."""

    concept: str
    calibrated: CalibratedConcept
    chance: Float[np.ndarray, " n"]  # that each row shows the concept, as far as is known
    claimed: Bool[np.ndarray, " n"]  # the filter's present answer
    labelled: (
        pd.DataFrame
    )  # uid, label, votes, weight, rule, now (cross-fitted where labels set the threshold)
    rule: tuple[Share, Share]  # precision and recall of the rule without labels
    now: tuple[Share, Share]  # and with them
    agreement: Agreement
    ties: list[str]


class LabelStudy(NamedTuple):
    """The rows that were judged, the labels, and each concept."""

    rows: pd.DataFrame  # filter_verdicts with url, caption, shard
    labels: Labels
    concepts: dict[str, ConceptStudy]


def study_labels(
    rows: pd.DataFrame,
    vectors: Float32[np.ndarray, "n d"],
    labels: Labels,
    config: CalibrationConfig,
    rules: FilterConfig,
    *,
    seed: int,
) -> LabelStudy:
    """Calibrate every concept and compare; `rows` are verdicts with captions, in the order of `vectors`."""
    scores, uid = concept_scores(rows, rules), rows["uid"].to_numpy()
    found = calibrate(labels, uid, in_memory(uid, vectors), scores, config, seed=seed)
    concepts = {
        name: _study(name, rows, vectors, labels, calibrated, config, rules, seed)
        for name, calibrated in found.items()
    }
    return LabelStudy(rows, labels, concepts)


def _study(
    name: str,
    rows: pd.DataFrame,
    vectors: Float32[np.ndarray, "n d"],
    labels: Labels,
    calibrated: CalibratedConcept,
    config: CalibrationConfig,
    rules: FilterConfig,
    seed: int,
) -> ConceptStudy:
    rule, claimed = ruled(rows, name, rules), rows[f"fails_{concept_rule(name)}"].to_numpy(bool)
    labelled = consensus(labels, name)
    labelled = labelled[labelled["uid"].isin(rows["uid"])].reset_index(drop=True)
    chance = calibrated.probability
    if calibrated.reason:
        chance = _guess(rule, labelled, rows["uid"], vectors, seed)
    answers = pd.DataFrame({"rule": rule, "said": said(rows, name, rules)}, index=rows["uid"])
    own = answers.loc[labelled["uid"]]
    now = own["rule"].to_numpy()
    if calibrated.labelled is not None:
        crossed = calibrated.labelled.set_index("uid")["claimed"].loc[labelled["uid"]]
        now = crossed.to_numpy(bool) | own["said"].to_numpy(bool)
    labelled = labelled.assign(rule=own["rule"].to_numpy(), now=now)
    truth, weight = labelled["label"].to_numpy(bool), labelled["weight"].to_numpy(float)
    return ConceptStudy(
        concept=name,
        calibrated=calibrated,
        chance=chance,
        claimed=claimed,
        labelled=labelled,
        rule=figures(labelled["rule"].to_numpy(bool), truth, weight, config.confidence),
        now=figures(labelled["now"].to_numpy(bool), truth, weight, config.confidence),
        agreement=agreement(labels, name),
        ties=ties(labels, name),
    )


def _guess(
    rule: Bool[np.ndarray, " n"],
    labelled: pd.DataFrame,
    uid: pd.Series,
    vectors: Float32[np.ndarray, "n d"],
    seed: int,
) -> Float[np.ndarray, " n"]:
    """Guess what shows a concept: from the few labels if any say yes and any no, and from the rule."""
    guess = guessed_chance(rule, vectors, seed=seed)
    if labelled["label"].nunique() < 2:
        return guess
    known = vectors[rows_of(uid.to_numpy(), labelled["uid"].tolist(), what="the verdicts")]
    return (guess + learnt_chance(labelled["label"].to_numpy(bool), known, vectors)) / 2


def study_metrics(study: LabelStudy) -> dict[str, int | float]:
    """Write the figures flat; what nothing was counted for is left out."""
    metrics: dict[str, int | float] = {
        "labelled": len(study.labels.uids),
        "rounds": study.labels.rounds,
        **{f"set_aside_{reason}": count for reason, count in sorted(study.labels.set_aside.items())},
    }
    for name, one in study.concepts.items():
        metrics |= {
            f"{name}_labels": one.calibrated.labels,
            f"{name}_positives": one.calibrated.positives,
            f"{name}_ties": len(one.ties),
            f"{name}_annotators": one.agreement.annotators,
            f"{name}_probe_used": int(not one.calibrated.reason),
        }
        if one.agreement.alpha is not None:
            metrics[f"{name}_alpha"] = one.agreement.alpha
        if one.agreement.kappa is not None:
            metrics[f"{name}_kappa"] = one.agreement.kappa
        if not one.calibrated.reason:
            metrics[f"{name}_threshold"] = one.calibrated.threshold
        for stage, (precision, recall) in (("rule", one.rule), ("now", one.now)):
            metrics |= _flat(f"{name}_{stage}_precision", precision) | _flat(f"{name}_{stage}_recall", recall)
    return metrics


def _flat(name: str, share: Share) -> dict[str, float]:
    if share.value is None:
        return {}
    return {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high, f"{name}_n": share.n}
