"""Unbiased squared maximum mean discrepancy with the kernels in use: KID's cubic one and a Gaussian."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist, pdist

from unclip_pipeline.metrics.estimate import Z_95, Estimate, Features, Others


def kid(real: Features, generated: Others, *, extractor: str) -> Estimate:
    """Kernel inception distance, k(x, y) = (x.y/d + 1)^3 (Bińkowski et al., 2018); unbiased, so 0 is best and
    values below 0 occur."""
    both = np.concatenate([real, generated]).astype(np.float64)
    return _mmd((both @ both.T / both.shape[1] + 1) ** 3, len(real), extractor)


def mmd_rbf(real: Features, generated: Others, *, extractor: str) -> Estimate:
    """Squared MMD with a Gaussian kernel as wide as the median real distance; unbiased, 0 is best.

    CMMD's fixed width of 10 on unit vectors sees little but the means; the median sees collapse.
    """
    both = np.concatenate([real, generated]).astype(np.float64)
    width = np.median(pdist(both[: len(real)]))
    if width == 0:
        raise ValueError(
            "mmd_rbf needs real rows that differ, their median distance is 0; check the features"
        )
    return _mmd(np.exp(-cdist(both, both, "sqeuclidean") / (2 * width**2)), len(real), extractor)


def _mmd(kernel: Float[np.ndarray, "both both"], n: int, extractor: str) -> Estimate:
    """U-statistic of a kernel matrix, its first n rows real; delete-one jackknife over each sample."""
    m = len(kernel) - n
    if min(n, m) < 3:
        raise ValueError(f"MMD needs at least 3 rows on each side, got {n} and {m}; draw more samples")
    xx, yy, xy = kernel[:n, :n].copy(), kernel[n:, n:].copy(), kernel[:n, n:]
    np.fill_diagonal(xx, 0)
    np.fill_diagonal(yy, 0)
    within_x, within_y, across = xx.sum(), yy.sum(), xy.sum()
    value = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)
    without_x = (
        (within_x - 2 * xx.sum(1)) / ((n - 1) * (n - 2))
        + within_y / (m * (m - 1))
        - 2 * (across - xy.sum(1)) / ((n - 1) * m)
    )
    without_y = (
        within_x / (n * (n - 1))
        + (within_y - 2 * yy.sum(1)) / ((m - 1) * (m - 2))
        - 2 * (across - xy.sum(0)) / (n * (m - 1))
    )
    variance = (n - 1) * np.var(without_x) + (m - 1) * np.var(without_y)
    half = Z_95 * np.sqrt(variance)
    return Estimate(float(value), float(value - half), float(value + half), min(n, m), extractor)
