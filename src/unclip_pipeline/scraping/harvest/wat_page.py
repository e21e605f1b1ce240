"""Read a page from the JSON envelope of a WAT record, which names images by `src`, `alt` and `title` alone."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from unclip_pipeline.scraping.harvest.page import LINKS_READ, Link, Mention, Page, tidy


class NotAnEnvelope(ValueError):
    """A WAT record that is no JSON object."""


def envelope(block: bytes) -> Mapping[str, Any]:
    """Parse a record's block."""
    try:
        found = json.loads(block)
    except (ValueError, RecursionError) as fault:
        raise NotAnEnvelope(str(fault)) from fault
    return _mapping(found, "Envelope")


def response_of(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give what a WAT says of a server's answer; None for records of another kind."""
    payload = _mapping(found, "Payload-Metadata")
    return _mapping(payload, "HTTP-Response-Metadata") if "HTTP-Response-Metadata" in payload else None


def status_of(response: Mapping[str, Any]) -> str:
    """Give the status of an answer as text."""
    return str(_mapping(response, "Response-Message").get("Status", ""))


def headers_of(response: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the headers of an answer; one that came several times is a list in newer files."""
    pairs = []
    for name, value in _mapping(response, "Headers").items():
        values = value if isinstance(value, list) else [value]
        pairs += [(str(name), tidy(str(one))) for one in values]
    return pairs


def wat_page(found: Mapping[str, Any], response: Mapping[str, Any]) -> Page | None:
    """Read what the envelope of an HTML page says; None if it says nothing of HTML."""
    if "HTML-Metadata" not in response:
        return None
    metadata = _mapping(response, "HTML-Metadata")
    head = _mapping(metadata, "Head")
    metas = list(_metas(head))
    links = [*_objects(head, "Link"), *_objects(metadata, "Links")]
    return Page(
        url=_text(_mapping(found, "WARC-Header-Metadata"), "WARC-Target-URI"),
        title=tidy(_text(head, "Title")),
        language=next((content for name, content in metas if name == "html@/lang"), ""),
        base=_text(head, "Base"),
        metas=metas,
        headers=headers_of(response),
        mentions=[_mention(link) for link in links if _text(link, "path") == "IMG@/src"],
        links=[
            Link(_text(link, "url"), "license" in _text(link, "rel").lower().split())
            for link in links
            if _text(link, "path") in ("A@/href", "LINK@/href", "AREA@/href")
            and (
                "license" in _text(link, "rel").lower()
                or "creativecommons.org/" in _text(link, "url").lower()
            )
        ][:LINKS_READ],
    )


def _mention(link: Mapping[str, Any]) -> Mention:
    address = _text(link, "url")
    return Mention(
        sources=(address,) if address.strip() else (),
        alt=tidy(_text(link, "alt")),
        title_attribute=tidy(_text(link, "title")),
    )


def _metas(head: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for meta in _objects(head, "Metas"):
        for key in ("name", "property", "http-equiv"):
            if name := _text(meta, key).strip():
                yield name.lower(), tidy(_text(meta, "content"))


def _objects(place: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = place.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _mapping(place: object, name: str) -> Mapping[str, Any]:
    found = place.get(name) if isinstance(place, dict) else None
    return found if isinstance(found, dict) else {}


def _text(place: Mapping[str, Any], name: str) -> str:
    found = place.get(name, "")
    return found if isinstance(found, str) else ""
