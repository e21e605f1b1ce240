"""Connect bare sockets on threads that scrape, as a library that knows nothing of our guard would."""

import socket
from contextlib import AbstractContextManager

from unclip_pipeline.scraping.clock import Clock, Meter
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.second_wall import raise_wall
from unclip_pipeline.scraping.wire import Wire, on_the_wire


def scraping() -> AbstractContextManager[Wire]:
    """Make this thread one that asks a public host."""
    raise_wall()
    meter = Meter(Clock(5.0), ScrapeConfig(), 1000)
    return on_the_wire(Wire("example.org", 80, False, meter, lambda *_: ()))


def knock(target: str | tuple) -> str:
    """Connect a bare socket as if for that host; name the fate."""
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    if len(target) == 4:
        family = socket.AF_INET6
    with scraping(), socket.socket(family) as bare:
        try:
            bare.connect(target)
        except ScrapeFailure as failure:
            return failure.fate
        except OSError as fault:
            return str(fault)
    return "connected"


def knock_at_loopback(shard: int) -> str:
    """Knock in a worker."""
    return knock(("127.0.0.1", 80))
