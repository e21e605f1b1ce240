"""From an address as written to one that can be asked for: the best of several, resolved, canonical."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from unclip_pipeline.corpus.uids import canonical_url

# HTML's `srcset`: an address is a run without spaces that may hold commas, as those of data: URLs do
_CANDIDATE = re.compile(r"[\s,]*(\S+)([^,(]*(?:\([^)]*\)[^,(]*)*)")
_DESCRIPTOR = re.compile(r"(\d+(?:\.\d+)?)([wx])", re.IGNORECASE)
_DROPPED_BY_BROWSERS = re.compile(r"[\t\r\n]+")
_NO_HOST = re.compile(r"https?:/{2,}(?:[?#]|$)|https?:/{3,}", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.IGNORECASE)


class Size(NamedTuple):
    """How large a candidate says it is."""

    width_px: float
    density: float


def srcset(written: str) -> list[tuple[Size, str]]:
    """Split a `srcset` into addresses with what it says of their sizes."""
    found = []
    place = 0
    while match := _CANDIDATE.match(written, place):
        address, descriptors = match[1], match[2]
        place = match.end()
        if address.endswith(","):  # an address with no descriptor, and the next one after it
            place = match.start(2)
            address, descriptors = address.rstrip(","), ""
        sizes = {unit.lower(): float(size) for size, unit in _DESCRIPTOR.findall(descriptors)}
        if address:
            found.append((Size(sizes.get("w", 0.0), sizes.get("x", 1.0)), address))
    return found


def largest_first(candidates: Iterable[tuple[Size, str]]) -> tuple[str, ...]:
    """Order addresses by the width they claim, then by density, then as they are given; each once."""
    ordered = sorted(candidates, key=lambda sized: sized[0], reverse=True)
    return tuple(dict.fromkeys(address for _, address in ordered if address.strip()))


def base_of(page_url: str, written: str) -> str:
    """Resolve an element `base`; one that cannot be read counts as none."""
    try:
        resolved = urljoin(page_url, _as_browsers_read(written))
        return resolved if urlsplit(resolved).scheme in ("http", "https") else page_url
    except ValueError:
        return page_url


def resolve(written: str, base: str, max_chars: int) -> tuple[str | None, str | None]:
    """Give (canonical URL, None), or (None, why there is none)."""
    address = _as_browsers_read(written)
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() not in ("http", "https"):
        return None, "data_url" if scheme[1].lower() == "data" else "not_http"
    if not address:
        return None, "no_address"
    if len(address) > max_chars:
        return None, "url_too_long"
    if _NO_HOST.match(address):
        return None, "bad_url"
    try:
        url = canonical_url(urljoin(base, address))
        parts = urlsplit(url)
    except ValueError:
        return None, "bad_url"
    if parts.scheme not in ("http", "https"):
        return None, "not_http"
    if not parts.hostname:
        return None, "bad_url"
    return (url, None) if len(url) <= max_chars else (None, "url_too_long")


def first_usable(sources: Iterable[str], base: str, max_chars: int) -> tuple[str | None, str | None]:
    """Resolve the first source that can be asked for; without one, say what the first was."""
    why = None
    for written in sources:
        url, reason = resolve(written, base, max_chars)
        if url is not None:
            return url, None
        why = why or reason
    return None, why or "no_address"


def _as_browsers_read(written: str) -> str:
    address = _DROPPED_BY_BROWSERS.sub("", written.strip("\0\t\n\f\r "))
    address = address.encode("utf-8", "replace").decode()
    path, mark, rest = address.partition("?")
    if not path.lower().startswith("data:"):
        path = path.replace("\\", "/")
    return path + mark + rest
