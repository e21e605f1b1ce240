"""Match paths as robots.txt and tdmrep.json do: a prefix, with `*` for anything and a last `$` for the end."""

import re
from string import ascii_letters, digits
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_UNRESERVED = frozenset(ascii_letters + digits + "-._~")
_SAFE = "%/:?#[]@!&'()+,;=~"  # all that is left as it is, but for the two signs of patterns
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")


def path_of(url: str) -> str:
    """Spell the part of a URL that rules are matched against: its path and query (RFC 9309, 2.2.2)."""
    parts = urlsplit(url)
    return spelled((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


class Pattern(NamedTuple):
    """A rule's path, ready to be matched against many."""

    pieces: tuple[str, ...]  # between the asterisks
    is_whole: bool

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Read a pattern as an owner wrote it."""
        pieces = text.removesuffix("$").split("*")
        return cls(tuple(spelled(piece) for piece in pieces), text.endswith("$"))

    @property
    def length(self) -> int:
        """Count its octets: of several that match, the longest is the most specific."""
        return sum(map(len, self.pieces)) + len(self.pieces) - 1 + self.is_whole

    def matches(self, path: str) -> bool:
        """Tell whether it matches a path spelled by `path_of`."""
        first, *others = self.pieces
        if not path.startswith(first):
            return False
        place = len(first)
        if not others:
            return not self.is_whole or place == len(path)
        *middle, last = others
        for piece in middle:
            place = path.find(piece, place)
            if place < 0:
                return False
            place += len(piece)
        if self.is_whole:
            return path.endswith(last) and len(path) - len(last) >= place
        return path.find(last, place) >= 0


def spelled(text: str) -> str:
    """Write octets in one way: no escape where none is needed, capital hex digits where one is."""
    return _ESCAPE.sub(_plain, quote(text, safe=_SAFE, errors="replace"))


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
