"""Work in threads ahead of whoever takes the results, but only so far ahead."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, most_waiting: int
) -> Iterator[Result]:
    """Yield `function(item)` as the results come; an exception in a thread is raised here.

    At most `threads + most_waiting` results exist that were not taken yet. The threads are daemons, so
    that a fault of the taker's ends the process even where an item would keep a thread waiting for long.
    """
    crew = _Crew(function, iter(items), threads + most_waiting)
    for _ in range(threads):
        threading.Thread(target=crew.work, daemon=True).start()
    working = threads
    try:
        while working:
            result = crew.results.get()
            if result is _DONE:
                working -= 1
            elif isinstance(result, _Fault):
                raise result.fault
            else:
                yield result
                del result  # before the next one is waited for: it may be large
                crew.room.release()
    finally:
        crew.is_over = True
        crew.room.release(threads)


_DONE = object()


class _Fault:
    def __init__(self, fault: BaseException) -> None:
        self.fault = fault


class _Crew:
    """What the threads share."""

    def __init__(self, function: Callable, items: Iterator, room: int) -> None:
        self.results: SimpleQueue = SimpleQueue()
        self.room = threading.Semaphore(room)
        self.is_over = False
        self._function = function
        self._items = items
        self._taking = threading.Lock()

    def work(self) -> None:
        try:
            with suppress(StopIteration):
                while True:
                    self.room.acquire()
                    with self._taking:
                        if self.is_over:
                            return
                        item = next(self._items)
                    self.results.put(self._function(item))
            self.room.release()  # what was taken for an item that never came
            self.results.put(_DONE)
        except BaseException as fault:  # whatever the function raises is the taker's to report
            self.results.put(_Fault(fault))
