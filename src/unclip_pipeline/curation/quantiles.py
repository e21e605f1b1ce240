"""Order statistics of columns that are read in pieces: exact, in counting passes, without a sort.

A float64 is turned into an unsigned integer of the same order; four passes over its 16-bit digits then
find any rank with 65,536 counters, however many rows there are (radix selection).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, UInt64

DIGIT_BITS = 16
_SIGN = np.uint64(1 << 63)
_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996 and means 29

Scores = Float64[np.ndarray, " n"]
Keys = UInt64[np.ndarray, " n"]


class Cut(NamedTuple):
    """The last of the lowest rows, by score and then by uid."""

    score: float
    uid: int

    def takes(self, scores: Scores, uids: Keys) -> Bool[np.ndarray, " n"]:
        """Tell which rows are among the lowest."""
        return (scores < self.score) | ((scores == self.score) & (uids <= np.uint64(self.uid)))


NOTHING = Cut(math.nan, 0)  # no score is below it, nor equal


def exact_quantile(chunks: Callable[[], Iterable[Scores]], fraction: float) -> float:
    """Give the smallest score that has floor(fraction * n) scores before it in sorted order.

    `chunks` starts a new pass over all n scores; `fraction` lies in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"a quantile's fraction must lie in [0, 1), got {fraction}")
    count = sum(len(scores) for scores in chunks())
    if not count:
        raise ValueError("a quantile needs at least one score, got none")
    rank = kth_smallest(lambda: map(ordered_keys, chunks()), _rows(fraction, count))
    return ordered_float(rank)


def lowest_share(chunks: Callable[[], Iterable[tuple[Scores, Keys]]], share: float) -> Cut:
    """Find where the lowest floor(share * n) rows end; equal scores are taken in the order of their uids.

    `chunks` starts a new pass over scores and uids (as numbers, all different).
    """
    wanted = _rows(share, sum(len(scores) for scores, _ in chunks()))
    if not wanted:
        return NOTHING
    score = ordered_float(kth_smallest(lambda: (ordered_keys(scores) for scores, _ in chunks()), wanted - 1))
    below = sum(int((scores < score).sum()) for scores, _ in chunks())
    uid = kth_smallest(lambda: (uids[scores == score] for scores, uids in chunks()), wanted - below - 1)
    return Cut(score, uid)


def kth_smallest(chunks: Callable[[], Iterable[Keys]], rank: int) -> int:
    """Find the key that has `rank` keys before it in sorted order, in four passes."""
    prefix, before = 0, 0
    for shift in range(64 - DIGIT_BITS, -1, -DIGIT_BITS):
        counts = np.zeros(1 << DIGIT_BITS, np.int64)
        for keys in chunks():
            if prefix or shift < 64 - DIGIT_BITS:
                keys = keys[keys >> np.uint64(shift + DIGIT_BITS) == np.uint64(prefix)]
            digits = (keys >> np.uint64(shift)) & np.uint64((1 << DIGIT_BITS) - 1)
            counts += np.bincount(digits.astype(np.int64), minlength=1 << DIGIT_BITS)
        upto = before + np.cumsum(counts)
        if not 0 <= rank < upto[-1]:
            raise ValueError(f"rank {rank} is beyond the {int(upto[-1])} keys there are")
        digit = int(np.searchsorted(upto, rank, side="right"))
        before = int(upto[digit] - counts[digit])
        prefix = (prefix << DIGIT_BITS) | digit
    return prefix


def ordered_keys(scores: Scores) -> Keys:
    """Turn floats into unsigned integers of the same order; a score that is no number is an error."""
    if np.isnan(scores).any():
        raise ValueError(f"scores must be numbers to be ordered, {int(np.isnan(scores).sum())} are NaN")
    bits = (scores + 0.0).view(np.uint64)  # the sum makes one zero of both
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def ordered_float(key: int) -> float:
    """Turn one such integer back into its float."""
    number = np.uint64(key)
    bits = number ^ _SIGN if number & _SIGN else ~number
    return float(np.array([bits], np.uint64).view(np.float64)[0])


def uid_numbers(uids: Sequence[str]) -> Keys:
    """Read uids (16 hex digits) as numbers of the same order."""
    return np.fromiter((int(uid, 16) for uid in uids), np.uint64, len(uids))


def _rows(share: float, count: int) -> int:
    return math.floor(share * count + _ROUNDING)
