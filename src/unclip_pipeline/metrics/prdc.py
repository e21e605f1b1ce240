"""Precision, recall, density, coverage from k-nearest-neighbour balls (Naeem et al., 2020)."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from unclip_pipeline.metrics.estimate import Estimate, Features, Others, mean_of, share_of


class Prdc(NamedTuple):
    precision: Estimate  # share of generated rows inside the ball of some real row
    recall: Estimate  # share of real rows inside the ball of some generated row
    density: Estimate  # real balls a generated row lies in, over k; 1 for equal distributions
    coverage: Estimate  # share of real rows whose ball holds a generated row


def prdc(real: Features, generated: Others, *, neighbours: int, extractor: str) -> Prdc:
    """Fidelity and spread of a generated feature set; every value is best at 1 and worst at 0.

    A row's ball reaches to its k-th neighbour in its own set, itself and the border excluded (strict <).
    Repeated real rows are dropped first: they would shrink balls to nothing.
    """
    real = np.unique(np.asarray(real, np.float64), axis=0)
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(
            f"prdc needs more than {neighbours} distinct rows on each side, got {len(real)} and "
            f"{len(generated)}; lower `neighbours` or draw more samples"
        )
    generated = np.asarray(generated, np.float64)
    between = cdist(real, generated)
    real_radius, generated_radius = _radius(real, neighbours), _radius(generated, neighbours)
    in_real_ball = between < real_radius[:, None]
    in_generated_ball = between < generated_radius[None, :]
    return Prdc(
        precision=share_of(in_real_ball.any(0), extractor),
        recall=share_of(in_generated_ball.any(1), extractor),
        density=mean_of(in_real_ball.sum(0) / neighbours, extractor),
        coverage=share_of(in_real_ball.any(1), extractor),
    )


def _radius(rows: Features, neighbours: int) -> np.ndarray:
    return np.partition(cdist(rows, rows), neighbours, axis=1)[:, neighbours]
