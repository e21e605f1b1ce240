"""Fetch the bytes behind a URL: bounded in time, size and redirects, and only where the owner lets us.

urllib3 keeps connections alive and shares one TLS context in a process; img2dataset's own downloader makes
a context per request, which costs twenty times the CPU, and drops the headers that say no.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException, IncompleteRead
from string import punctuation
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
)
from urllib3.exceptions import TimeoutError as TransportTimeout

from unclip_pipeline import __version__
from unclip_pipeline.corpus.fates import is_fate
from unclip_pipeline.corpus.uids import canonical_url
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.opt_out import TOKEN, refused_by

CHUNK = 64 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_PAUSE_S = 0.2  # doubled at each further retry


class Fetcher:
    """One per process; its `fetch` may be called from many threads."""

    def __init__(self, config: ScrapeConfig) -> None:
        self._config = config
        contact = f" (+{config.contact})" if config.contact else ""
        self._pool = urllib3.PoolManager(
            num_pools=4 * config.threads,
            maxsize=config.threads,
            ssl_context=ssl.create_default_context(),
            headers={
                "User-Agent": f"{TOKEN}/{__version__}{contact}",
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )

    def fetch(self, url: str) -> Body:
        """Get the body of a URL, or raise the ScrapeFailure that says why not."""
        deadline_s = time.monotonic() + self._config.total_timeout_s
        pause_s = FIRST_PAUSE_S
        for _ in range(self._config.retries):
            try:
                return self._follow(url, deadline_s)
            except ScrapeFailure as failure:
                if not failure.is_passing or time.monotonic() + pause_s > deadline_s:
                    raise
            time.sleep(pause_s)
            pause_s *= 2
        return self._follow(url, deadline_s)

    def _follow(self, url: str, deadline_s: float) -> Body:
        """Go from address to address until one answers with a body."""
        address, seen = url, set()
        for _ in range(self._config.max_redirects + 1):
            address = _fetchable(address)
            if address in seen:
                raise ScrapeFailure("scrape.redirect_loop", f"came back to {address}")
            seen.add(address)
            with _faults(), closing(self._open(address, deadline_s)) as response:
                status, location = response.status, response.headers.get("Location")
                if status < 400:
                    self._respect_opt_out(response)
                if status in REDIRECTS and location:
                    address = urljoin(address, quote(location, safe=punctuation, encoding="iso-8859-1"))
                elif 200 <= status < 300:
                    content = self._read(response, deadline_s)
                    return Body(content, status, address, response.headers.get("Content-Type", ""))
                else:
                    raise _refused(response)
        raise ScrapeFailure("scrape.redirect_loop", f"more than {self._config.max_redirects} redirects")

    def _open(self, address: str, deadline_s: float) -> urllib3.BaseHTTPResponse:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise self._out_of_time()
        patience = urllib3.Timeout(min(self._config.timeout_s, left_s))
        return self._pool.request(
            "GET", address, redirect=False, retries=False, preload_content=False, timeout=patience
        )

    def _respect_opt_out(self, response: urllib3.BaseHTTPResponse) -> None:
        tags = response.headers.getlist("X-Robots-Tag")
        if directive := refused_by(tags, self._config.refused_directives):
            evidence = f"X-Robots-Tag: {' | '.join(tags)} ({directive})"
            raise ScrapeFailure("scrape.opted_out", evidence, http_status=response.status)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline_s: float) -> bytes:
        """Read a body as it comes, so that neither a long nor a slow one can hold us."""
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self._config.max_bytes:
            raise self._too_large(f"{announced} bytes announced", response.status)
        parts, size = [], 0
        while part := response.read1(CHUNK, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self._config.max_bytes:
                raise self._too_large("and there was more", response.status)
            if time.monotonic() > deadline_s:
                raise self._out_of_time()
        if not parts:
            raise ScrapeFailure("scrape.empty", "the body is empty", http_status=response.status)
        return b"".join(parts)

    def _out_of_time(self) -> ScrapeFailure:
        return ScrapeFailure("scrape.timeout_total", f"took longer than {self._config.total_timeout_s:g} s")

    def _too_large(self, how: str, status: int) -> ScrapeFailure:
        limit = self._config.max_bytes
        return ScrapeFailure("scrape.too_large", f"more than {limit} bytes, {how}", http_status=status)


def _fetchable(address: str) -> str:
    """Spell an address for the wire; raise if it is not one of http or https."""
    try:
        spelled = canonical_url(address)
    except (ValueError, UnicodeError) as fault:
        raise ScrapeFailure("scrape.bad_url", f"{address!r:.100}: {fault}") from fault
    parts = urlsplit(spelled)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ScrapeFailure("scrape.bad_url", f"only http and https hosts are fetched, not {spelled:.100}")
    return spelled


def _refused(response: urllib3.BaseHTTPResponse) -> ScrapeFailure:
    status = response.status
    fate = f"scrape.http_{status}"
    return ScrapeFailure(
        fate if is_fate(fate) else "scrape.connection_error",
        f"HTTP {status} {response.reason or ''}".strip(),
        http_status=status,
        is_passing=status in PASSING_STATUSES,
    )


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what the transport raises into fates."""
    try:
        yield
    except LocationValueError as fault:
        raise ScrapeFailure("scrape.bad_url", str(fault)) from fault
    except NewConnectionError as fault:  # counts among the timeouts there
        raise ScrapeFailure("scrape.connection_error", str(fault), is_passing=True) from fault
    except TransportTimeout as fault:
        raise ScrapeFailure("scrape.timeout_total", str(fault), is_passing=True) from fault
    except DecodeError as fault:
        raise ScrapeFailure("scrape.decode_error", str(fault)) from fault
    except ProtocolError as fault:
        is_cut = any(isinstance(cause, IncompleteRead) for cause in (fault, *fault.args))
        fate = "scrape.truncated" if is_cut else "scrape.connection_error"
        raise ScrapeFailure(fate, str(fault), is_passing=True) from fault
    except (HTTPError, HTTPException, OSError) as fault:
        raise ScrapeFailure("scrape.connection_error", str(fault), is_passing=True) from fault
    except (ValueError, LookupError) as fault:  # headers that are no text, encodings that do not exist
        raise ScrapeFailure("scrape.connection_error", f"{type(fault).__name__}: {fault}") from fault
