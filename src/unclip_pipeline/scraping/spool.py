"""Images on their way into a shard wait on disk, so that a shard never has to fit into memory."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile


class Spool:
    """A nameless file of bytes that are read back when their turn comes."""

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder, buffering=2**20)
        self._size = 0

    def put(self, content: bytes) -> Callable[[], bytes]:
        """Store bytes; returns what reads them."""
        offset, size = self._size, len(content)
        self._file.write(content)
        self._size += size
        return lambda: self._read(offset, size)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def _read(self, offset: int, size: int) -> bytes:
        self._file.flush()
        return os.pread(self._file.fileno(), size, offset)
