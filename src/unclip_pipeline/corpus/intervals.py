"""Intervals of counted shares: no bare rate leaves this project."""

from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """Bounds of a share in 0..1; both None where nothing was counted."""

    low: float | None
    high: float | None


def wilson(successes: int | float, n: int | float, confidence: float = 0.95) -> Interval:
    """Bound a share by Wilson's score interval (1927); n = 0 has no bounds.

    Counts may be fractional (weighted shares with n the effective sample size).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..n, got {successes=} and {n=}")
    if n == 0:
        return Interval(None, None)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    spread = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return Interval(0.0 if successes == 0 else low, 1.0 if successes == n else high)


def share_metrics(name: str, successes: int, n: int, confidence: float = 0.95) -> dict[str, int | float]:
    """Write a share as flat metrics `name`, `name_low`, `name_high`, `name_n`; only the last where n = 0."""
    if n == 0:
        return {f"{name}_n": 0}
    low, high = wilson(successes, n, confidence)
    return {name: successes / n, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}
