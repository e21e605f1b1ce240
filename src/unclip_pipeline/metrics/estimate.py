"""One figure with what is needed to believe it: interval, number of observations, extractor."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from unclip_pipeline.corpus.intervals import wilson

Z_95 = float(stats.norm.ppf(0.975))

Features = Float[np.ndarray, "n d"]
Others = Float[np.ndarray, "m d"]  # a second set, of its own number of rows


class Estimate(NamedTuple):
    value: float
    low: float  # 95% interval
    high: float
    n: int
    extractor: str = ""  # features it was computed from; empty when from none


def share_of(hits: Bool[np.ndarray, " n"] | Float[np.ndarray, " n"], extractor: str = "") -> Estimate:
    """Share of hits (true, or a fraction of 1 where ties are shared) with Wilson's interval.

    NaN, never 0, when nothing was asked.
    """
    n = len(hits)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, extractor)
    interval = wilson(float(np.sum(hits)), n)
    return Estimate(float(np.mean(hits)), interval.low, interval.high, n, extractor)


def mean_of(values: Float[np.ndarray, " n"], extractor: str = "") -> Estimate:
    """Mean with Student's interval; the interval is NaN below two values."""
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, extractor)
    mean = float(np.mean(values, dtype=np.float64))
    if n == 1:
        return Estimate(mean, np.nan, np.nan, 1, extractor)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n, extractor)


def share_difference(
    first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " m"], extractor: str = ""
) -> Estimate:
    """First share minus an independent second, with Newcombe's interval (1998, method 10)."""
    a, b = share_of(first), share_of(second)
    difference = a.value - b.value
    low = difference - np.hypot(a.value - a.low, b.high - b.value)
    high = difference + np.hypot(a.high - a.value, b.value - b.low)
    return Estimate(float(difference), float(low), float(high), a.n, extractor)


def block_jackknife(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    first: Features,
    second: Float[np.ndarray, "m e"],
    *,
    blocks: int = 20,
    extractor: str = "",
) -> Estimate:
    """Statistic of two samples with a delete-a-block jackknife interval (rows must be in random order).

    Unlike the bootstrap it never repeats a row, which distances between distributions mistake for structure.
    """
    value = statistic(first, second)
    variance = 0.0
    for which, sample in enumerate((first, second)):
        parts = np.array_split(np.arange(len(sample)), min(blocks, len(sample)))
        left_out = [np.delete(sample, part, axis=0) for part in parts]
        values = [statistic(kept, second) if which == 0 else statistic(first, kept) for kept in left_out]
        variance += (len(parts) - 1) * np.var(values)
    half = float(Z_95 * np.sqrt(variance))
    return Estimate(value, value - half, value + half, min(len(first), len(second)), extractor)


def flatten(estimates: Mapping[str, Estimate]) -> dict[str, float | int]:
    """Write `name`, `name_low`, `name_high`, `name_n` as plain numbers; what is unknown is left out."""
    flat: dict[str, float | int] = {}
    for name, estimate in estimates.items():
        fields = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        flat |= {key: float(value) for key, value in fields.items() if np.isfinite(value)}
        flat[f"{name}_n"] = int(estimate.n)
    return flat
