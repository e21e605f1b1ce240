"""Weights that undo what filtering did to the balance of audited groups."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

Target = Literal["scraped", "parity"]
ITERATIONS = 100
TOLERANCE = 1e-12


class Weighting(NamedTuple):
    """Weights of mean 1 by uid, and their effective sample size as a share of the rows."""

    weights: pd.Series
    effective_share: float


def post_stratify(
    cells: pd.Series, kept: pd.Index, *, before: pd.Index, target: Target, clip: float
) -> Weighting:
    """Weigh kept rows so that their cells are shared as before filtering, or equally.

    `cells` gives each uid its combination of audited groups. With target "scraped" a cell's weight is its share
    before over its share now; with "parity" all cells count alike. Weights lie in [1/clip, clip] times the mean; a
    cell that was lost whole cannot be restored by any weight.
    """
    now = cells.reindex(kept).value_counts(normalize=True)
    wanted = cells.reindex(before).value_counts(normalize=True).reindex(now.index)
    if target == "parity":
        wanted = pd.Series(1 / len(now), index=now.index)
    ratio = cells.reindex(kept).map(wanted / now).to_numpy(float)
    weights = clipped_to_mean_1(ratio, clip)
    effective = float(weights.sum() ** 2 / (weights**2).sum() / len(weights))
    return Weighting(pd.Series(weights, index=kept), effective)


def clipped_to_mean_1(ratio: Float[np.ndarray, " n"], clip: float) -> Float[np.ndarray, " n"]:
    """Scale weights to mean 1 with none outside [1/clip, clip]: clip and scale in turn until both hold."""
    weights = ratio / ratio.mean()
    for _ in range(ITERATIONS):
        bounded = np.clip(weights, 1 / clip, clip)
        weights = bounded / bounded.mean()
        if np.abs(weights - bounded).max() < TOLERANCE:
            break
    return weights


def weighted_mean(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> float:
    """Average values by weight."""
    return float(np.average(values, weights=weights))
