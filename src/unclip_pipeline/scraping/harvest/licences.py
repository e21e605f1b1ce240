"""Licences as pages link them, under the identifiers of the SPDX list."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from unclip_pipeline.scraping.harvest.addresses import resolve
from unclip_pipeline.scraping.harvest.page import Link

MAX_URL_CHARS = 1000
_CC = re.compile(r"/licenses/([a-z\-]+)/(\d\.\d)(?:/([a-z]{2,3}(?:-[a-z]+)?))?(?:/|$)")
_CC_PARTS = ("by", "nc", "nd", "sa")  # in SPDX's order
_CC_PUBLIC = {"zero": "CC0", "mark": "CC-PDM"}
_PUBLIC = re.compile(r"/publicdomain/(zero|mark)/(\d\.\d)(?:/|$)")
_NOT_A_PORT = re.compile(r"deed|legalcode|rdf")
_OTHERS = (  # host, path, identifier
    ("gnu.org", re.compile(r"/(?:licenses|copyleft)/(?:old-licenses/)?fdl-(\d\.\d)"), "GFDL-{}"),
    ("apache.org", re.compile(r"/licenses/license-(\d\.\d)"), "Apache-{}"),
    ("opensource.org", re.compile(r"/licenses?/mit(?:-license)?(?:\.php)?/?$"), "MIT"),
    ("artlibre.org", re.compile(r"/"), "LAL-1.3"),
)


class Licence(NamedTuple):
    """What a page says on the terms of an image: an identifier where it is known, and the link itself."""

    identifier: str | None
    url: str | None
    source: str | None  # figure or page


def identifier(url: str) -> str | None:
    """Name a licence by its address; None for one that is not known."""
    try:
        parts = urlsplit(url.strip().lower())
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    if host == "creativecommons.org":
        return _creative_commons(parts.path)
    if host == "spdx.org":
        return _spdx(url)
    for site, path, name in _OTHERS:
        if host == site and (match := path.match(parts.path)):
            return name.format(*match.groups())
    return None


def is_creative_commons(url: str) -> bool:
    """Tell whether a link leads to a Creative Commons licence."""
    return "creativecommons.org/" in url.lower() and identifier(url) is not None


def licence_of(figure: Iterable[Link], page: Iterable[Link], base: str) -> Licence:
    """Choose the licence of an image: that of its figure, else that of its page.

    Links that say `rel=license` go before plain ones to Creative Commons. A place that names several
    licences names none for this image.
    """
    for source, links in (("figure", figure), ("page", page)):
        urls = _named(links, base)
        if len({identifier(url) or url for url in urls}) == 1:
            return Licence(identifier(urls[0]), urls[0], source)
        if urls:
            return Licence(None, None, None)
    return Licence(None, None, None)


def _named(links: Iterable[Link], base: str) -> list[str]:
    resolved = [
        (_absolute(link.href, base), link.is_licence) for link in links if len(link.href) < MAX_URL_CHARS
    ]
    urls = [(url, is_licence) for url, is_licence in resolved if url is not None]
    said = [url for url, is_licence in urls if is_licence]
    return said or [url for url, _ in urls if is_creative_commons(url)]


@lru_cache(maxsize=1024)  # a site links the same few on every page
def _absolute(href: str, base: str) -> str | None:
    return resolve(href, base, MAX_URL_CHARS)[0]


def _creative_commons(path: str) -> str | None:
    if match := _PUBLIC.match(path):
        return f"{_CC_PUBLIC[match[1]]}-{match[2]}"
    match = _CC.match(path)
    if match is None:
        return None
    parts = match[1].split("-")
    if set(parts) - set(_CC_PARTS):
        return None
    port = match[3] if match[3] and not _NOT_A_PORT.match(match[3]) else ""
    ordered = [part for part in _CC_PARTS if part in parts]
    return "-".join(["CC", *ordered, match[2], *([port] if port else [])]).upper()


def _spdx(url: str) -> str | None:
    match = re.search(r"/licenses/([A-Za-z0-9.\-]+?)(?:\.html|\.json)?/?$", url.strip())
    return match[1] if match else None
