"""How far several people agree on the same pictures."""

from typing import NamedTuple

import pandas as pd

from unclip_pipeline.curation.annotation.labels import Labels


class Agreement(NamedTuple):
    """Of one concept; alpha and kappa are None where nobody looked at another's picture."""

    annotators: int
    shared: int  # pictures with several answers
    alpha: float | None  # Krippendorff's, nominal; 1 is agreement, 0 what chance gives
    kappa: float | None  # Cohen's, of the two people who share most pictures


def agreement(labels: Labels, concept: str) -> Agreement:
    """Measure the agreement on one concept."""
    own = labels.answers[labels.answers["concept"] == concept]
    table = own.pivot(index="uid", columns="annotator", values="answer").astype("Float64").astype(float)
    shared = table[table.notna().sum(axis="columns") > 1]
    return Agreement(table.shape[1], len(shared), krippendorff_alpha(shared), _kappa(shared))


def krippendorff_alpha(table: pd.DataFrame) -> float | None:
    """One less the observed over the expected disagreement of yes and no (Krippendorff, 2011).

    `table` has a row per picture, a column per person, NaN where somebody did not answer.
    """
    answers = table.notna().sum(axis="columns").to_numpy(float)
    yes = table.sum(axis="columns").to_numpy(float)
    paired = answers > 1
    answers, yes = answers[paired], yes[paired]
    total, total_yes = answers.sum(), yes.sum()
    if total == 0:
        return None
    observed = (2 * yes * (answers - yes) / (answers - 1)).sum() / total
    expected = 2 * total_yes * (total - total_yes) / (total * (total - 1))
    return 1.0 if expected == 0 else float(1 - observed / expected)


def _kappa(shared: pd.DataFrame) -> float | None:
    from sklearn.metrics import cohen_kappa_score

    best: pd.DataFrame | None = None
    people = list(shared)
    for place, first in enumerate(people):
        for second in people[place + 1 :]:
            both = shared[[first, second]].dropna()
            if best is None or len(both) > len(best):
                best = both
    if best is None or best.empty:
        return None
    first, second = (best.iloc[:, column].to_numpy(bool) for column in (0, 1))
    if (first == second).all():
        return 1.0
    return float(cohen_kappa_score(first, second))
