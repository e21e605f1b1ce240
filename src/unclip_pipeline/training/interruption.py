"""A polite end: SIGTERM is noted while a step runs, and acted on between steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_noted() -> Iterator[threading.Event]:
    """Set the event at SIGTERM while the block runs, in place of what the signal did before.

    Outside the main thread, where signals cannot be caught, the event is never set.
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGTERM, lambda *_: noted.set())
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)
