"""Ask a fetcher and name what came of it."""

from dataclasses import replace

from hostile_web import HostileWeb

from unclip_pipeline.corpus.fates import is_fate
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher

QUICK = ScrapeConfig(
    threads=8, timeout_s=0.5, total_timeout_s=1.0, retries=0, max_bytes=200_000, max_redirects=3,
    contact="crawl@example.org", per_host_connections=8,
)  # fmt: skip


def fetcher_of(web: HostileWeb, **choices: object) -> Fetcher:
    """Make a fetcher that may ask one server, and no other address of this machine."""
    own = f"{web.server_address[0]}:{web.port}"
    return Fetcher(replace(QUICK, **({"private_hosts": [own]} | choices)))


def outcome(fetcher: Fetcher, url: str) -> Body | ScrapeFailure:
    """Fetch a URL; whatever becomes of it is one of the two."""
    try:
        return fetcher.fetch(url)
    except ScrapeFailure as failure:
        assert is_fate(failure.fate)
        return failure


def fate(fetcher: Fetcher, url: str) -> str:
    """Name what becomes of a URL."""
    answer = outcome(fetcher, url)
    return "body" if isinstance(answer, Body) else answer.fate
