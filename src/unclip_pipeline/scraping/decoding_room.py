"""Bound the memory of pictures that are being decoded: a few small ones together, large ones one by one."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from unclip_pipeline.corpus.decoding import FORMATS

SMALL_PIXELS = 1_000_000  # a decoder takes at most 17 bytes for each
SMALL_AT_ONCE = 4


class DecodingRoom:
    """One per process."""

    def __init__(self) -> None:
        self._small = threading.Semaphore(SMALL_AT_ONCE)
        self._large = threading.Lock()

    @contextmanager
    def room_for(self, content: bytes) -> Iterator[None]:
        """Wait until a picture may be decoded, by the size that its header announces."""
        with self._small if _is_small(content) else self._large:
            yield


def _is_small(content: bytes) -> bool:
    try:
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Exception:  # fed hostile bytes, decoders raise anything; whoever decodes will say it
        return True
    return width * height <= SMALL_PIXELS
