"""One line of progress for everything that takes longer than two seconds."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

QUIET_S = 2.0


def progress(
    items: Iterable[T], *, label: str, total: int | None = None, unit: str = "it", leave: bool = False
) -> Iterator[T]:
    """Yield the items with a progress line on stderr that shows only once two seconds have gone by."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    yield from progress_bar(items, label=label, total=total, unit=unit, leave=leave)


def progress_bar(
    items: Iterable[T] | None, *, label: str, total: int | None, unit: str = "it", leave: bool = False
) -> "tqdm[T]":
    """Make a progress bar the caller updates; on a file or a CI log it prints a line every ten seconds."""
    interval_s = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        items, desc=label, total=total, unit=unit, delay=QUIET_S, mininterval=interval_s, leave=leave,
        file=sys.stderr, dynamic_ncols=True, smoothing=0.1,
    )  # fmt: skip


def seconds(since: float) -> float:
    """Wall seconds since a reading of `time.perf_counter`."""
    return time.perf_counter() - since
