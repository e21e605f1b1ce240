"""Match paths as robots.txt and tdmrep.json do: a prefix, with `*` for anything and a last `$` for the end."""

import re
from string import ascii_letters, digits
from urllib.parse import quote, urlsplit

_UNRESERVED = frozenset(ascii_letters + digits + "-._~")
_SAFE = "%/:?#[]@!&'()+,;=~"  # all that is left as it is, but for the two signs of patterns
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")


def path_of(url: str) -> str:
    """Spell the part of a URL that rules are matched against: its path and query (RFC 9309, 2.2.2)."""
    parts = urlsplit(url)
    return spelled((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def matches(pattern: str, path: str) -> bool:
    """Tell whether a pattern, as an owner wrote it, matches a path spelled by `path_of`."""
    is_whole = pattern.endswith("$")
    first, *others = (spelled(piece) for piece in pattern.removesuffix("$").split("*"))
    if not path.startswith(first):
        return False
    place = len(first)
    if not others:
        return not is_whole or place == len(path)
    *middle, last = others
    for piece in middle:
        place = path.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    if is_whole:
        return path.endswith(last) and len(path) - len(last) >= place
    return path.find(last, place) >= 0


def spelled(text: str) -> str:
    """Write octets in one way: no escape where none is needed, capital hex digits where one is."""
    return _ESCAPE.sub(_plain, quote(text, safe=_SAFE, errors="replace"))


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
