"""On whose behalf this thread speaks to the network: one request, with its host, its rights and its meter."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from unclip_pipeline.scraping.addresses import IPAddress, is_public
from unclip_pipeline.scraping.clock import Meter
from unclip_pipeline.scraping.failure import ScrapeFailure

_thread = threading.local()


class Wire(NamedTuple):
    """One request."""

    host: str
    port: int
    is_own_host: bool  # listed in scrape.private_hosts, so that its addresses need not be public
    meter: Meter
    lookup: Callable[[str, int, Meter], tuple[IPAddress, ...]]

    def may_connect(self, address: IPAddress) -> bool:
        """Tell whether this request may go to an address."""
        return self.is_own_host or is_public(address)

    def blocked(self, where: object) -> ScrapeFailure:
        """Say that this request was about to leave the open internet."""
        reason = (
            f"{self.host}:{self.port} is {where}, no address of the open internet; if it is your own, list it in "
            "scrape.private_hosts"
        )
        return ScrapeFailure("scrape.blocked_private_address", reason)


@contextmanager
def on_the_wire(wire: Wire) -> Iterator[Wire]:
    """Let every socket of this thread serve one request while the block runs."""
    before = current_wire()
    _thread.wire = wire
    try:
        yield wire
    finally:
        _thread.wire = before


def current_wire() -> Wire | None:
    """Return the request that this thread is at; None on threads that do not scrape."""
    return getattr(_thread, "wire", None)
