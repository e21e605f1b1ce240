"""One pool of connections for a process: kept alive, guarded, timed, without cookies or proxies.

urllib3 shares one TLS context; img2dataset's own downloader makes one per request, which costs twenty times
the CPU. Proxies of the environment are not used: behind one, nobody here could tell where a request ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, IncompleteRead
from string import punctuation
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, HTTPError, LocationValueError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as TransportTimeout

from unclip_pipeline.corpus.uids import DEFAULT_PORTS, canonical_url
from unclip_pipeline.scraping.clock import Clock, Meter
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.contact import is_private_host, user_agent
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.names import Names
from unclip_pipeline.scraping.second_wall import raise_wall
from unclip_pipeline.scraping.sockets import TimedSocket, checked_addresses, connect, tls_context
from unclip_pipeline.scraping.wire import Wire, on_the_wire

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_URL = 8000  # characters
DRAINED_BYTES = 16 * 1024  # read to its end, an answer leaves its connection to the next request


class Address(NamedTuple):
    """A URL taken apart, as it goes over the wire."""

    url: str
    scheme: str
    host: str
    port: int
    target: str


class _Plain(HTTPConnection):
    def _new_conn(self) -> TimedSocket:
        return connect()


class _Secure(HTTPSConnection):
    def _new_conn(self) -> TimedSocket:
        return connect()


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


class Transport:
    """One per process; its methods may be called from many threads."""

    def __init__(self, config: ScrapeConfig) -> None:
        raise_wall()
        self._config = config
        self._names = Names()
        self._headers = {
            "User-Agent": user_agent(config), "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity",
        }  # fmt: skip
        self._pools = urllib3.PoolManager(
            num_pools=4 * config.threads, maxsize=config.threads, ssl_context=tls_context()
        )
        self._pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def check(self, address: Address, clock: Clock) -> None:
        """Raise ScrapeFailure if a host is not to be found, or not to be asked."""
        with _faults():
            wire = self._wire(address, clock, self._config.max_bytes)
            checked_addresses(wire)
            self._check_contact(wire)

    @contextmanager
    def ask(
        self, address: Address, clock: Clock, max_bytes: int
    ) -> Iterator[tuple[urllib3.BaseHTTPResponse, Meter]]:
        """Send one request; within the block the answer's body may be read, whatever happens is a fate."""
        with _faults(), on_the_wire(self._wire(address, clock, max_bytes)) as wire:
            self._check_contact(wire)
            pool = self._pools.connection_from_host(address.host, address.port, address.scheme)
            response = pool.urlopen(
                "GET", address.target, headers=self._headers, redirect=False, retries=False,
                preload_content=False, assert_same_host=False, timeout=wire.meter.wait_s(),
            )  # fmt: skip
            try:
                wire.meter.head_ended()
                yield response, wire.meter
                _drain(response)
            finally:
                response.close()

    def _check_contact(self, wire: Wire) -> None:
        """Hold redirects to the rule that `check_contact` holds lists to."""
        if not (wire.is_own_host or self._config.contact):
            raise ScrapeFailure(
                "scrape.contact_missing", f"{wire.host} is not asked: scrape.contact is empty"
            )

    def _wire(self, address: Address, clock: Clock, max_bytes: int) -> Wire:
        is_own = is_private_host(address.host, address.port, self._config.private_hosts)
        meter = Meter(clock, self._config, max_bytes)
        return Wire(address.host, address.port, is_own, meter, self._names.addresses)


def read_address(url: str) -> Address:
    """Spell a URL for the wire; raise ScrapeFailure if it is not one of http or https."""
    try:
        spelled = canonical_url(url)
        parts = urlsplit(spelled)
        port = parts.port
    except ValueError as fault:
        raise ScrapeFailure("scrape.bad_url", f"{url!r:.100}: {fault}") from fault
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ScrapeFailure("scrape.bad_url", f"only http and https hosts are fetched, not {spelled:.100}")
    if len(spelled) > MAX_URL:
        raise ScrapeFailure("scrape.bad_url", f"longer than {MAX_URL} characters: {spelled:.100}")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Address(spelled, parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], target)


def redirected_to(response: urllib3.BaseHTTPResponse, address: Address) -> str | None:
    """Return the URL that an answer sends us to, if it does."""
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or not location:
        return None
    try:
        return urljoin(address.url, quote(location, safe=punctuation, encoding="iso-8859-1"))
    except ValueError as fault:
        raise ScrapeFailure("scrape.bad_url", f"redirect to {location!r:.100}: {fault}") from fault


def plain_headers(response: urllib3.BaseHTTPResponse) -> list[tuple[str, str]]:
    """List an answer's headers, the repeated ones each by itself."""
    return list(response.headers.items())


def announced_bytes(response: urllib3.BaseHTTPResponse) -> int | None:
    """Read how long an answer says that it is."""
    text = response.headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _drain(response: urllib3.BaseHTTPResponse) -> None:
    length = announced_bytes(response)
    if length is not None and length <= DRAINED_BYTES:
        with suppress(ScrapeFailure):  # the row has its fate already
            response.drain_conn()


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what the transport raises into fates."""
    try:
        yield
    except LocationValueError as fault:
        raise ScrapeFailure("scrape.bad_url", str(fault)) from fault
    except TransportTimeout as fault:
        raise ScrapeFailure("scrape.timeout_total", str(fault), is_passing=True) from fault
    except SSLError as fault:
        raise ScrapeFailure("scrape.tls_error", str(fault)) from fault
    except DecodeError as fault:
        raise ScrapeFailure("scrape.decode_error", str(fault)) from fault
    except ProtocolError as fault:
        is_cut = any(isinstance(cause, IncompleteRead) for cause in (fault, *fault.args))
        is_lost = any(isinstance(cause, OSError) for cause in fault.args)  # and not an answer that is no HTTP
        fate = "scrape.truncated" if is_cut else "scrape.connection_error"
        raise ScrapeFailure(fate, str(fault), is_passing=is_cut or is_lost) from fault
    except (HTTPError, HTTPException, OSError) as fault:
        is_lost = isinstance(fault, OSError)
        raise ScrapeFailure("scrape.connection_error", str(fault), is_passing=is_lost) from fault
    except (ValueError, LookupError) as fault:  # headers that are no text, encodings that do not exist
        raise ScrapeFailure("scrape.connection_error", f"{type(fault).__name__}: {fault}") from fault
