"""The name of a pair: stable across runs, machines and shard counts."""

import hashlib
import re
from urllib.parse import quote, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE = "/:@!$&'()*+,;=-._~%[]"
_CHARACTER = rf"[A-Za-z0-9{re.escape(_SAFE)}]"
_CANONICAL = re.compile(  # of the URLs that are spelled so already, those of the usual form
    r"https?://(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}(?::(?!80/|443/)[1-9][0-9]{0,3}|:[1-5][0-9]{4})?"
    rf"/{_CHARACTER}*(?:\?(?:{_CHARACTER}|\?)+)?",
    re.ASCII,
)


def canonical_url(url: str) -> str:
    """Write a URL in one way: lower-case scheme and host, no default port, no fragment, percent-encoded.

    Raises ValueError if it cannot be parsed, or its host is no name that IDNA 2003 can write.
    """
    if _CANONICAL.fullmatch(url):
        return url
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    if ":" in host:
        host = f"[{host}]"
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS.get(parts.scheme.lower()) else ""
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    path = quote(parts.path or "/", safe=_SAFE)
    query = quote(parts.query, safe=_SAFE + "?")
    return urlunsplit((parts.scheme.lower(), f"{user}{host}{port}", path, query, ""))


def url_name(url: str) -> str:
    """Write a URL in one way; one that cannot be parsed keeps its own spelling: it still needs a fate."""
    try:
        return canonical_url(url)
    except ValueError:
        return url.strip()


def host_of(url: str) -> str:
    """Read a URL's host, empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def pair_uid(url: str, caption: str) -> str:
    """Name a pair by the first 16 hex digits of sha256(name of the URL, NUL, caption)."""
    named = f"{url_name(url)}\0{caption}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]
