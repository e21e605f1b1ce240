"""What a URL gave, and what was read on the way to it."""

from typing import NamedTuple


class Evidence(NamedTuple):
    """One signal about permission, as it was found."""

    scope: str  # list | host | answer | page
    where: str  # the URL at which it was found
    signal: str
    raw: str  # cut to 300 characters
    decision: str  # allowed | refused | unknown
    rule: str  # name and version of the reading, such as rfc9309/1


class Body(NamedTuple):
    """What a URL gave."""

    content: bytes  # with its Content-Encoding undone
    http_status: int
    final_url: str
    content_type: str
    etag: str = ""
    last_modified: str = ""
    hops: int = 0  # redirects followed
    attempts: int = 1  # how often the URL was asked for, retries included
    elapsed_ms: int = 0  # with retries and their pauses, without waiting for the host's turn
    evidence: tuple[Evidence, ...] = ()
    permit: object = None  # the right to so much memory; it ends when the body is let go
