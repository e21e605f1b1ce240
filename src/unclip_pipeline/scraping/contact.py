"""Say who asks: the user agent, and the rule that no stranger's host is asked without a contact."""

import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from unclip_pipeline import __version__
from unclip_pipeline.corpus.uids import DEFAULT_PORTS, canonical_url
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission.decision import TOKEN

_EMAIL = re.compile(r"[^@\s<>()]+@[^@\s<>()]+\.[^@\s<>()]+")
_URL = re.compile(r"https?://[^\s<>()]+\.[^\s<>()]+")


def user_agent(config: ScrapeConfig) -> str:
    """Name the project, its version and whoever answers for this crawl."""
    contact = f" (+{config.contact})" if config.contact else ""
    return f"{TOKEN}/{__version__}{contact}"


def check_contact(urls: Iterable[str], config: ScrapeConfig) -> None:
    """Raise ValueError before the first request, if a host that is not one's own would be asked by nobody."""
    if config.contact and not (_EMAIL.fullmatch(config.contact) or _URL.fullmatch(config.contact)):
        raise ValueError(
            f"scrape.contact must be an e-mail address or a URL, got {config.contact!r}; it goes into the user "
            "agent, so that the owner of a site can reach whoever answers for this crawl"
        )
    if config.contact:
        return
    for url in urls:
        if (host := _strange_host(url, config)) is not None:
            raise ValueError(
                f"scrape.contact must be set before hosts outside scrape.private_hosts are asked, got none and "
                f"{host}; set it to an e-mail address or URL whose owner answers for this crawl, or list the "
                "host in scrape.private_hosts if it is your own"
            )


def _strange_host(url: str, config: ScrapeConfig) -> str | None:
    """Return the host of a URL that would be asked and is not listed as one's own."""
    try:
        parts = urlsplit(canonical_url(url))
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return None if is_private_host(parts.hostname, port, config.private_hosts) else parts.hostname


def is_private_host(host: str, port: int, listed: Collection[str]) -> bool:
    """Tell whether a host, as canonical URLs spell it, is listed: alone or with its port."""
    name = f"[{host}]" if ":" in host else host
    return host in listed or name in listed or f"{name}:{port}" in listed
