"""Crawls written by hand, byte by byte, and one call that harvests them."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.scraping import ScrapeConfig
from unclip_pipeline.scraping.harvest import HarvestConfig, Harvested, harvest

PAGE = "http://site.example/rooms/one.html"
HTML = (("Content-Type", "text/html"),)


def record(kind: str, url: str, content_type: str, block: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
    head += (
        f"WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\nContent-Type: {content_type}\r\n"
    )
    return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def response(
    body: str | bytes, url: str = PAGE, headers: Iterable[tuple[str, str]] = HTML, status: int = 200
) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} Some Reason\r\n{lines}\r\n".encode("latin-1")
    content = body.encode() if isinstance(body, str) else body
    return record("response", url, "application/http; msgtype=response", head + content)


def wat(
    html_metadata: Any, url: str = PAGE, headers: dict[str, Any] | None = None, status: str = "200"
) -> bytes:
    """An envelope as Common Crawl writes it."""
    answer = {
        "Response-Message": {"Status": status, "Version": "HTTP/1.1", "Reason": "OK"},
        "Headers": {"Content-Type": "text/html", **(headers or {})},
        "HTML-Metadata": html_metadata,
    }
    envelope = {
        "WARC-Header-Metadata": {"WARC-Target-URI": url, "WARC-Type": "response"},
        "Payload-Metadata": {"HTTP-Response-Metadata": answer},
    }
    block = json.dumps({"Container": {"Compressed": True}, "Envelope": envelope}).encode()
    return record("metadata", url, "application/json", block)


def packed(records: Iterable[bytes]) -> bytes:
    """Every record a gzip member of its own, as the standard asks."""
    return b"".join(gzip.compress(content, mtime=0) for content in records)


def in_turn(function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
    yield from map(function, shards)


def harvested(
    folder: Path,
    files: dict[str, bytes],
    *,
    processes: int = 1,
    policy: ScrapeConfig | None = None,
    **choices: Any,
) -> Harvested:
    crawl = folder / "crawl"
    for name, content in files.items():
        (crawl / name).parent.mkdir(parents=True, exist_ok=True)
        (crawl / name).write_bytes(content)
    engine = partial(map_shards, engine=EngineConfig(processes=processes)) if processes > 1 else in_turn
    return harvest(crawl, folder / "scratch", HarvestConfig(**choices), policy or ScrapeConfig(), engine)


def rows_of(
    folder: Path, body: str | bytes, *, headers: Iterable[tuple[str, str]] = HTML, **choices: Any
) -> pd.DataFrame:
    """The rows of one page."""
    return harvested(folder, {"one.warc": response(body, headers=headers)}, **choices).url_list


def only_row(folder: Path, body: str | bytes, **choices: Any) -> dict[str, Any]:
    rows = rows_of(folder, body, **choices)
    assert len(rows) == 1, rows
    row = rows.astype(object).where(rows.notna(), None).iloc[0].to_dict()
    return {str(name): value for name, value in row.items()}
