"""Who a model draws when nobody asks: shares by group for neutral prompts, against a named reference.

A distance of two share vectors is above 0 by chance alone, far above at few pictures, so each is given with
the value that perfect parity reaches at the same n. A model that draws one picture over and over has no
shares to speak of, so its spread is looked at first.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import pdist, squareform

Shares = Float[np.ndarray, " k"]

DRAWS = 4000
GRID = 60


class Spread(NamedTuple):
    """Mean pairwise distance of generated pictures over that of training pictures; 1 is equal variety."""

    ratio: float
    low: float  # 95% interval
    high: float
    generated: float
    training: float


class Parity(NamedTuple):
    """Distance of observed shares to a reference; every distance beside what no bias at all would give."""

    n: int
    tv: float  # total variation, 0..1
    tv_floor: float  # its mean under the reference at this n
    tv_floor_p95: float
    tv_low: float  # 95% bounds of the true distance; low is 0 where parity is not rejected
    tv_high: float
    jsd_bits: float  # Jensen-Shannon divergence, 0..1
    jsd_floor_bits: float
    p: float  # parametric bootstrap under the reference


def spread(generated: Float[np.ndarray, "n d"], training: Float[np.ndarray, "m d"]) -> Spread:
    """Compare the variety of generated pictures of one prompt with training pictures of the same thing."""
    if min(len(generated), len(training)) < 3:
        raise ValueError(
            f"spread needs at least 3 pictures on each side, got {len(generated)} generated and "
            f"{len(training)} training ones; draw more, or choose a prompt that training captions name"
        )
    (a, a_error), (b, b_error) = _mean_distance(generated), _mean_distance(training)
    if b == 0:
        raise ValueError("the training pictures of a prompt are all the same; choose another reference")
    ratio = a / b
    half = 1.96 * ratio * np.hypot(a_error / max(a, 1e-12), b_error / b)
    return Spread(ratio, max(0.0, ratio - half), ratio + half, a, b)


def total_variation(p: Float[np.ndarray, "*n k"], q: Shares) -> Float[np.ndarray, "*n"]:
    """Half the sum of absolute differences of two share vectors, in [0, 1]; 0 is best."""
    return np.asarray(np.abs(p - q).sum(-1) / 2)


def jensen_shannon_bits(p: Float[np.ndarray, "*n k"], q: Shares) -> Float[np.ndarray, "*n"]:
    """Mean relative entropy to the midpoint in bits, in [0, 1]; 0 log 0 counts as 0."""
    middle = (p + q) / 2
    return np.asarray((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def parity(counts: Int[np.ndarray, " k"], reference: Shares, random: np.random.Generator) -> Parity:
    """Test whether pictures follow the reference shares, and bound how far they are from them.

    A percentile bootstrap of a distance near 0 never covers 0. The bounds are the distances, along the
    direction seen, at which so large or so small a value is not rare; where parity stands the lower is 0.
    """
    n = int(counts.sum())
    if n == 0 or not np.isclose(reference.sum(), 1) or (reference < 0).any():
        raise ValueError(f"parity needs pictures and shares that sum to 1, got {n=}, {reference=}")
    observed = counts / n
    drawn = random.multinomial(n, reference, DRAWS) / n
    null = total_variation(drawn, reference)
    tv = float(total_variation(observed, reference))
    p = float((1 + (null >= tv - 1e-12).sum()) / (1 + DRAWS))
    low, high = _bounds(observed, reference, n, rejected=p < 0.05, random=random)
    return Parity(
        n=n,
        tv=tv,
        tv_floor=float(null.mean()),
        tv_floor_p95=float(np.quantile(null, 0.95)),
        tv_low=low,
        tv_high=high,
        jsd_bits=float(jensen_shannon_bits(observed, reference)),
        jsd_floor_bits=float(jensen_shannon_bits(drawn, reference).mean()),
        p=p,
    )


def _bounds(
    observed: Shares, reference: Shares, n: int, *, rejected: bool, random: np.random.Generator
) -> tuple[float, float]:
    """Invert the test along the line from the reference through what was seen to the border."""
    tv = float(total_variation(observed, reference))
    direction = observed - reference
    if tv < 1e-12:
        direction = np.eye(len(reference))[reference.argmin()] - reference
    falling = direction < 0
    steps = np.linspace(0, np.min(reference[falling] / -direction[falling]), GRID)
    truths = np.clip(reference + steps[:, None] * direction, 0, 1)
    drawn = [random.multinomial(n, truth / truth.sum(), DRAWS // 4) / n for truth in truths]
    values = total_variation(np.stack(drawn), reference)
    distances = total_variation(truths, reference)
    tail = 0.025 if rejected else 0.05
    not_too_large = distances[(values >= tv - 1e-12).mean(1) >= tail]
    not_too_small = distances[(values <= tv + 1e-12).mean(1) >= tail]
    low = not_too_large.min(initial=tv) if rejected else 0.0
    return float(low), float(not_too_small.max(initial=tv))


def _mean_distance(rows: Float[np.ndarray, "n d"]) -> tuple[float, float]:
    """Mean pairwise distance and its delete-one jackknife error."""
    n = len(rows)
    per_row = squareform(pdist(np.asarray(rows, np.float64))).sum(1)
    total = per_row.sum()
    without = (total - 2 * per_row) / ((n - 1) * (n - 2))
    return float(total / (n * (n - 1))), float(np.sqrt((n - 1) * np.var(without)))


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = np.broadcast_arrays(p, q)
    inside = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(inside)).sum(-1))
