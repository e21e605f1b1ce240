"""Fréchet distance between two feature sets (Heusel et al., 2017), whatever made the features."""

import numpy as np
from jaxtyping import Float
from numpy.linalg import norm

from unclip_pipeline.metrics.estimate import Estimate, Features, Others, block_jackknife


def frechet_distance(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Fréchet distance of the Gaussians fitted to two feature sets; 0 is best.

    Biased upward at finite sample size (Chong & Forsyth, 2020): compare only at equal n, beside a floor.
    tr sqrt(S1 S2) is the nuclear norm of A B^T, A and B the centred features over sqrt(n - 1): no square root
    of a matrix, and n < d is no special case.
    """
    if min(len(real), len(generated)) < 2:
        raise ValueError(
            f"frechet_distance needs at least 2 rows on each side, got {len(real)} and "
            f"{len(generated)}; draw more samples"
        )
    x, y = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    a = (x - x.mean(0)) / np.sqrt(len(x) - 1)
    b = (y - y.mean(0)) / np.sqrt(len(y) - 1)
    means = np.sum((x.mean(0) - y.mean(0)) ** 2)
    a, b = _fewer_rows(a), _fewer_rows(b)
    cross = norm(a @ b.T, "nuc")
    return max(0.0, float(means + norm(a) ** 2 + norm(b) ** 2 - 2 * cross))


def frechet(real: Features, generated: Others, *, extractor: str) -> Estimate:
    """Fréchet distance at equal n with a jackknife interval; its bias stays in, so show a floor."""
    _check_equal_n(real, generated)
    return block_jackknife(frechet_distance, real, generated, extractor=extractor)


def frechet_difference(real: Features, first: Others, second: Others, *, extractor: str) -> Estimate:
    """Fréchet distance of the first set less that of the second, rows of the two paired; below 0 the first is
    nearer to the real one.

    The jackknife leaves out the same rows of both, so that what they share is not taken for noise.
    """
    _check_equal_n(real, first)
    _check_equal_n(real, second)
    width = first.shape[1]

    def difference(of: np.ndarray, pairs: np.ndarray) -> float:
        return frechet_distance(of, pairs[:, :width]) - frechet_distance(of, pairs[:, width:])

    return block_jackknife(difference, real, np.hstack([first, second]), extractor=extractor)


def frechet_bias(d: int, n: int, m: int, variance: float = 1.0) -> float:
    """Expected distance of n against m draws of one isotropic Gaussian in d dimensions, to first order."""
    return variance * (d + d * (d + 1) / 4) * (1 / n + 1 / m)


def _fewer_rows(centred: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "_ d"]:
    """Rotate rows, which changes no norm, so that no more than d of them are left."""
    n, d = centred.shape
    return np.linalg.qr(centred, mode="r") if n > d else centred


def _check_equal_n(real: Features, generated: Others) -> None:
    if len(real) != len(generated):
        raise ValueError(
            f"a distance between distributions is reported at equal n, got {len(real)} real and "
            f"{len(generated)} generated rows; cut the larger set to {min(len(real), len(generated))}"
        )
