"""Bound the memory of bodies that are being read or wait to be decoded."""

import ctypes
import threading
from contextlib import suppress

SMALL_BYTES = 2**20  # bodies up to here need no permit
TOTAL_BYTES = 64 * 2**20  # of large bodies at one time
_M_MMAP_THRESHOLD = -3  # of glibc's mallopt
PATIENCE_S = 60.0  # a permit that never comes back costs memory, never the run


class Permit:
    """The right to one large body; it ends with the last reference to it."""

    def __init__(self, permits: threading.Semaphore) -> None:
        self._permits: threading.Semaphore | None = permits

    def release(self) -> None:
        """Give the permit back; a second time does nothing."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.release()

    def __del__(self) -> None:
        self.release()


class LargeBodies:
    """One per process: hands out as many permits as fit, two at least, since a reader may hold one more."""

    def __init__(self, max_bytes: int) -> None:
        _return_large_blocks()
        self._permits = threading.Semaphore(max(2, TOTAL_BYTES // max_bytes))

    def permit(self) -> Permit:
        """Wait for the right to read a large body."""
        if not self._permits.acquire(timeout=PATIENCE_S):
            return Permit(threading.Semaphore())
        return Permit(self._permits)


def _return_large_blocks() -> None:
    """Have glibc give large blocks back to the system when they are freed.

    Left to itself it learns from the first freed body to keep such blocks, in an arena for every thread:
    24 bodies of 31 MiB, two at a time, then take 560 MiB in place of 90 [measured]. Elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, SMALL_BYTES)
