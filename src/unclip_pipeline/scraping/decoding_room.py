"""Bound the memory of pictures that are being decoded: a few small ones together, large ones one by one."""

import threading
from contextlib import AbstractContextManager

SMALL_PIXELS = 1_000_000  # a decoder takes at most 17 bytes for each
SMALL_AT_ONCE = 4


class DecodingRoom:
    """One per process."""

    def __init__(self) -> None:
        self._small = threading.Semaphore(SMALL_AT_ONCE)
        self._large = threading.Lock()

    def room_for(self, size: tuple[int, int]) -> AbstractContextManager[object]:
        """Return what to hold while a picture is decoded, by the size that its header announces."""
        width, height = size
        return self._small if width * height <= SMALL_PIXELS else self._large
