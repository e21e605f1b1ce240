"""When to ask again: after what the server asked for, or after longer and longer pauses."""

import hashlib
import time
from email.utils import parsedate_to_datetime

FIRST_PAUSE_S = 0.2  # doubled at each further attempt
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


def pause_s(url: str, attempt: int, retry_after_s: float | None) -> float:
    """Return the pause after a failed attempt, the first being 0; nobody's retries fall together."""
    if retry_after_s is not None:
        return retry_after_s
    return FIRST_PAUSE_S * 2**attempt * (0.5 + _unit(f"{url}\0{attempt}"))


def read_retry_after(value: str | None, now_s: float | None = None) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now; None if it says nothing."""
    if not value:
        return None
    if (text := value.strip()).isascii() and text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - (time.time() if now_s is None else now_s))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _unit(key: str) -> float:
    """Draw from [0, 1) by a key, the same on every run."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
