"""Batches read ahead of the step, in threads, keyed by their position: the same ones in the same order."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Generic, TypeVar

MOST_THREADS = 16

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """A function of the position whose values at the positions that follow are computed in threads meanwhile.

    At most `depth` values wait. What a value raises is raised where that value is asked for. Any position
    may be asked for at any time: it costs the time of reading it, no more.
    """

    def __init__(
        self,
        read: Callable[[int], T],
        following: Callable[[int], int | None],
        *,
        depth: int,
        threads: int,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        if depth < 1 or threads < 1:
            raise ValueError(
                f"reading ahead takes a depth and threads of at least 1, got {depth=}, {threads=}"
            )
        self._read, self._following = read, following
        self._depth, self._threads, self._started = depth, threads, started
        self._waiting: dict[int, Future[T]] = {}

    def __call__(self, position: int) -> T:
        found = self._waiting.pop(position, None)
        self._look_ahead(position)
        return self._read(position) if found is None else found.result()

    def _look_ahead(self, position: int) -> None:
        coming, following = [], self._following(position)
        while following is not None and len(coming) < self._depth:
            coming.append(following)
            following = self._following(following)
        for skipped in self._waiting.keys() - coming:
            self._waiting.pop(skipped).cancel()
        for place in coming:
            if place not in self._waiting:
                self._waiting[place] = self._pool.submit(self._read, place)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "read", initializer=self._started)


class Timed(Generic[T]):
    """A function of the position that counts the seconds it takes."""

    def __init__(self, read: Callable[[int], T]) -> None:
        self._read, self._spent_s = read, 0.0

    def __call__(self, position: int) -> T:
        began = time.perf_counter()
        try:
            return self._read(position)
        finally:
            self._spent_s += time.perf_counter() - began

    def taken_s(self) -> float:
        """Seconds since this was last asked."""
        spent, self._spent_s = self._spent_s, 0.0
        return spent


def reading_threads() -> int:
    """As many threads as this process has cores beyond the one that trains; torchrun's processes share them."""
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores - 1, MOST_THREADS))
