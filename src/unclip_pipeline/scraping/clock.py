"""The time that a URL has, and the bytes that its answers may have: asked at every single read."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure

MAX_HEAD_BYTES = 64 * 1024  # status lines and headers of an answer
READ_AHEAD_BYTES = 64 * 1024  # what buffers may have read beyond a head, and the framing of a chunked body


class Clock:
    """Runs from the first request for a URL to the end of its last answer; stands still while we wait for us."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._began_s = time.monotonic()
        self._paused_s = 0.0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began_s - self._paused_s

    def has(self, wanted_s: float) -> bool:
        """Tell whether more than so many seconds are left."""
        return self.elapsed_s + wanted_s < self._total_s

    def left_s(self) -> float:
        """Return the seconds left; raise ScrapeFailure when there are none."""
        left_s = self._total_s - self.elapsed_s
        if left_s <= 0:
            raise ScrapeFailure("scrape.timeout_total", f"took longer than {self._total_s:g} s")
        return left_s

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of a block: the wait for a host's turn, or for what others ask for."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._paused_s += time.monotonic() - began_s


class Meter:
    """Watches one answer: how long until the next byte, how many bytes, and how fast.

    `wait_s` before and `took` after each read of the socket make a drip of bytes as bounded as silence.
    """

    def __init__(self, clock: Clock, config: ScrapeConfig, max_bytes: int) -> None:
        self.received = 0
        self._clock = clock
        self._max_bytes = max_bytes
        self._config = config
        self._first_byte_s: float | None = None
        self._limit = MAX_HEAD_BYTES + READ_AHEAD_BYTES
        self._is_head = True

    def wait_s(self) -> float:
        """Return how long the next byte may take; raise ScrapeFailure if it is late already."""
        wait_s = min(self._config.timeout_s, self._clock.left_s())
        if self._first_byte_s is None:
            return wait_s
        left_s = self._first_byte_s + self._span_s() - self._clock.elapsed_s
        if left_s <= 0:
            raise self._too_slow()
        return min(wait_s, left_s)

    def expired(self) -> ScrapeFailure:
        """Say which of the limits ended a read that got nothing."""
        try:
            self.wait_s()
        except ScrapeFailure as failure:
            return failure
        return ScrapeFailure("scrape.timeout_total", f"nothing came for {self._config.timeout_s:g} s")

    def took(self, count: int) -> None:
        """Count what a read gave; raise ScrapeFailure if it is more than an answer may have."""
        if self._first_byte_s is None:
            self._first_byte_s = self._clock.elapsed_s
        self.received += count
        if self.received <= self._limit:
            return
        if self._is_head:
            raise ScrapeFailure("scrape.connection_error", f"headers of more than {MAX_HEAD_BYTES} bytes")
        raise ScrapeFailure("scrape.too_large", f"more than {self._max_bytes} bytes on the wire")

    def head_ended(self) -> None:
        """Let the body have its own number of bytes."""
        self._is_head = False
        self._limit = self.received + self._max_bytes + READ_AHEAD_BYTES

    def _span_s(self) -> float:
        """Return how long so many bytes may have taken."""
        rate = self._config.min_bytes_per_s
        return max(self._config.grace_s, self.received / rate) if rate else float("inf")

    def _too_slow(self) -> ScrapeFailure:
        reason = f"{self.received} bytes in {self._span_s():.0f} s, less than {self._config.min_bytes_per_s} a second"
        return ScrapeFailure("scrape.too_slow", reason)
