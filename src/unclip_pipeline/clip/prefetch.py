"""Work done ahead in threads, in order, and never further ahead than is taken."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Iterator[Result]:
    """Yield `function(item)` in order while up to `ahead` further items are worked on in threads.

    An item's exception is raised where its result would have been yielded; torch computes on one core in
    each thread, however many the caller's own thread has.
    """
    torch.get_num_threads()  # settles the caller's own number before the threads change the default
    one_core = partial(torch.set_num_threads, 1)
    with ThreadPoolExecutor(threads, "decode", initializer=one_core) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
