"""Pairs of rows, collected block by block with a limit on how many fit into memory."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

BYTES_PER_PAIR = 32  # while pairs are collected, sorted and told apart


@dataclass(frozen=True)
class Pairs:
    """Row numbers of pairs, first < second."""

    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: Bool[np.ndarray, " m"]) -> "Pairs":
        """Choose pairs by mask."""
        return Pairs(self.first[chosen], self.second[chosen])

    def keys(self, n: int) -> Int[np.ndarray, " n"]:
        """Give each pair of n rows a number of its own, in the order of second and first."""
        return self.second.astype(np.int64) * n + self.first


def union(n: int, *several: Pairs) -> Pairs:
    """Put pairs of n rows together, each once, sorted by second and first."""
    return _of_keys(np.unique(np.concatenate([pairs.keys(n) for pairs in several])), n)


class PairCollector:
    """Takes pairs of n rows in any order, any number of times; gives each once, sorted.

    More than `max_memory_mb` of them are an error: groups that large are placeholders, or the limits let
    everything pass.
    """

    def __init__(self, n: int, *, max_memory_mb: int, advice: str) -> None:
        self._n = n
        self._most = max_memory_mb * 2**20 // BYTES_PER_PAIR
        self._advice = advice
        self._parts: list[np.ndarray] = []
        self._held = 0

    def add(self, a: Int[np.ndarray, " m"], b: Int[np.ndarray, " m"]) -> None:
        """Take pairs whichever row comes first; a row paired with itself is left out."""
        pairs = Pairs(np.minimum(a, b), np.maximum(a, b))
        self._parts.append(pairs.where(pairs.first < pairs.second).keys(self._n))
        self._held += len(self._parts[-1])
        if self._held > self._most:
            self._parts = [np.unique(np.concatenate(self._parts))]
            self._held = len(self._parts[0])
            self.refuse_more_than_fit(self._held)

    def pairs(self) -> Pairs:
        """Give each pair once, sorted by second and first."""
        keys = np.unique(np.concatenate(self._parts)) if self._parts else np.zeros(0, np.int64)
        return _of_keys(keys, self._n)

    def refuse_more_than_fit(self, count: int) -> None:
        """Raise where so many distinct pairs would not fit."""
        if count > self._most // 2:  # half stays free for what follows
            raise ValueError(
                f"more than {self._most // 2:,} pairs of {self._n:,} rows are this near; {self._advice}"
            )


def _of_keys(keys: Int[np.ndarray, " m"], n: int) -> Pairs:
    return Pairs(keys % max(n, 1), keys // max(n, 1))
