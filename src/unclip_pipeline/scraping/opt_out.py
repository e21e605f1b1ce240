"""Tell from an answer's headers whether its owner forbids this use.

`X-Robots-Tag` values are lists of directives; a crawler's name may stand before those meant for it alone.
Some directives carry a value after a colon, and dates hold commas and colons of their own: taking any text
before a colon for a crawler's name is how `unavailable_after: 25 Jun 2010 15:00:00 PST, noai` gets lost.
"""

import re
from collections.abc import Iterable, Sequence

TOKEN = "unclip_pipeline"
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_CRAWLER = re.compile(r"[a-z0-9_.*-]+(?:/[a-z0-9.]+)?")
_US = frozenset({"*", TOKEN, TOKEN.replace("_", "-")})


def refused_by(robots_tags: Iterable[str], directives: Sequence[str]) -> str | None:
    """Return the first directive in force for us among the refused ones (given in lower case)."""
    for tag in robots_tags:
        for crawler, directive in _directives(tag.lower()):
            if crawler in _US and directive in directives:
                return directive
    return None


def _directives(tag: str) -> Iterable[tuple[str, str]]:
    """Yield (crawler, directive) pairs; a crawler's name holds until the next one."""
    crawler = "*"
    for part in re.split(r"[,;]", tag):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if colon and name in _WITH_VALUE:
            continue
        if colon and _CRAWLER.fullmatch(name):
            crawler, name = name.partition("/")[0], value
        yield crawler, name.strip("\"' ")
