"""A linear probe: logistic regression on CLIP vectors, for a few hundred labels."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.special import expit, logit

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse regularisation, in order of trust in the labels
ROUNDS = 500


@dataclass(frozen=True)
class Probe:
    """A fitted probe, and what probes that did not see a labelled row say of it."""

    direction: Float[np.ndarray, " d"]
    offset: float
    crossed: Float[np.ndarray, " n"]
    fold: Int[np.ndarray, " n"]  # of each labelled row

    def probability(self, table: Float32[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Give the probability that each row shows the concept."""
        return expit((table @ self.direction.astype(np.float32)).astype(np.float64) + self.offset)


def standardised(columns: Float[np.ndarray, "n k"]) -> Float32[np.ndarray, "n k"]:
    """Bring columns to mean 0 and deviation 1; a constant one, and what is not known, becomes 0."""
    known = np.isfinite(columns)
    filled = np.where(known, columns, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, columns - filled.sum(axis=0) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return (centred / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def features(
    vectors: Float32[np.ndarray, "n d"], columns: Float32[np.ndarray, "n k"]
) -> Float32[np.ndarray, "n e"]:
    """Put unit vectors and standardised columns side by side, at a like scale."""
    return np.hstack([vectors * np.float32(np.sqrt(vectors.shape[1])), columns])


def fit_probe(
    table: Float32[np.ndarray, "n d"],
    label: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    *,
    folds: int,
    seed: int,
) -> Probe:
    """Fit with the strength that predicts best across folds; rows of one group share a fold.

    Design weights count by their square root: in full, a handful of random rows would drown the rest.
    """
    importance = _importance(weight)
    parts = list(_folds(label, groups, folds, seed))
    crossed = [_crossed(table, label, importance, parts, strength) for strength in STRENGTHS]
    losses = [np.average(np.logaddexp(0, -np.where(label, z, -z)), weights=importance) for z in crossed]
    best = int(np.argmin(losses))
    direction, offset = _fit(table, label, importance, STRENGTHS[best])
    shift = _prevalence_shift(crossed[best], label, weight)
    fold = np.zeros(len(label), np.int64)
    for number, (_, hold) in enumerate(parts):
        fold[hold] = number
    return Probe(direction, offset + shift, expit(crossed[best] + shift), fold)


def _importance(weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Square roots of design weights around 1; rows without a weight count as the median one."""
    root = np.sqrt(np.where(np.isfinite(weight), weight, np.nanmedian(weight)))
    return root / root.mean()


def _folds(
    label: Bool[np.ndarray, " n"], groups: Int[np.ndarray, " n"], folds: int, seed: int
) -> list[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]]:
    """Split so that each part to learn from has both classes, and copies share a fold wherever they can."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    state = seed % 2**32
    count = min(folds, *(len(np.unique(groups[label == kind])) for kind in (True, False)))
    if count > 1:
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=state)
        parts = list(grouped.split(label, label, groups))
        if all(len(np.unique(label[learn])) == 2 for learn, _ in parts):
            return parts
    return list(StratifiedKFold(folds, shuffle=True, random_state=state).split(label, label))


def _crossed(
    table: Float32[np.ndarray, "n d"],
    label: Bool[np.ndarray, " n"],
    importance: Float[np.ndarray, " n"],
    parts: list[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]],
    strength: float,
) -> Float[np.ndarray, " n"]:
    """Give each row the logit of the probe that did not see it."""
    logits = np.zeros(len(label))
    for learn, hold in parts:
        direction, offset = _fit(table[learn], label[learn], importance[learn], strength)
        logits[hold] = table[hold] @ direction + offset
    return logits


def _fit(
    table: Float32[np.ndarray, "n d"],
    label: Bool[np.ndarray, " n"],
    importance: Float[np.ndarray, " n"],
    strength: float,
) -> tuple[Float[np.ndarray, " d"], float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a strength that does not settle loses the choice
        model = LogisticRegression(C=strength, max_iter=ROUNDS).fit(
            table.astype(np.float64), label, sample_weight=importance
        )
    return model.coef_[0], float(model.intercept_[0])


def _prevalence_shift(
    logits: Float[np.ndarray, " n"], label: Bool[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> float:
    """Find what to add to logits so that they say how common the concept is in the population.

    Rows near the threshold were drawn more often, so the probe takes the concept to be commoner than it is.
    """
    from scipy.optimize import brentq

    drawn = np.isfinite(weight)
    share = np.average(label[drawn], weights=weight[drawn])
    share = min(max(share, 1e-6), 1 - 1e-6)

    def excess(shift: float) -> float:
        return float(np.average(expit(logits[drawn] + shift), weights=weight[drawn]) - share)

    reach = float(np.abs(logits).max() + abs(logit(share)) + 1)
    return float(brentq(excess, -reach, reach))
