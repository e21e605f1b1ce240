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
