"""Why a URL gave no image."""

import re

_ADDRESS = re.compile(r"\s*(object )?at 0x[0-9a-f]+")


class ScrapeFailure(Exception):
    """A row's end: its fate, the reason in words, and whether asking again may help."""

    def __init__(
        self, fate: str, reason: str, *, http_status: int | None = None, is_passing: bool = False
    ) -> None:
        super().__init__(fate, reason)
        self.fate = fate
        self.reason = _ADDRESS.sub("", " ".join(reason.split()))[:300]  # the same on every run
        self.http_status = http_status
        self.is_passing = is_passing
