"""Why a URL gave no image."""

import re

from unclip_pipeline.scraping.answer import Evidence

_ADDRESS = re.compile(r"\s*(object )?at 0x[0-9a-f]+")


class ScrapeFailure(Exception):
    """A row's end: its fate, the reason in words, what was learned on the way, whether asking again may help."""

    def __init__(
        self,
        fate: str,
        reason: str,
        *,
        http_status: int | None = None,
        final_url: str = "",
        attempts: int = 0,
        elapsed_ms: int = 0,
        bytes_read: int = 0,
        evidence: tuple[Evidence, ...] = (),
        is_passing: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(fate, reason)
        self.fate = fate
        self.reason = _ADDRESS.sub("", " ".join(reason.split()))[:300]  # the same on every run
        self.http_status = http_status
        self.final_url = final_url
        self.attempts = attempts
        self.elapsed_ms = elapsed_ms
        self.bytes_read = bytes_read
        self.evidence = evidence
        self.is_passing = is_passing
        self.retry_after_s = retry_after_s  # what the server asked for

    def let_go(self) -> "ScrapeFailure":
        """Drop the frames that led here: they hold bodies, and failures are kept until they are written."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)
