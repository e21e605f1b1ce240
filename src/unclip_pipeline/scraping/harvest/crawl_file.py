"""Read one file of a crawl into a table of images and a tally: the unit of work of a harvest."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin

import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.harvest.candidates import Row, rows_of
from unclip_pipeline.scraping.harvest.config import HarvestConfig
from unclip_pipeline.scraping.harvest.html_page import html_page, own_address, page_of_tree, parse
from unclip_pipeline.scraping.harvest.page import Page
from unclip_pipeline.scraping.harvest.tally import Tally
from unclip_pipeline.scraping.harvest.warc import Answer, Block, BrokenCrawl, Undecodable, answer_of, blocks
from unclip_pipeline.scraping.harvest.wat_page import (
    NotAnEnvelope,
    envelope,
    headers_of,
    response_of,
    status_of,
    wat_page,
)

HTML_SUFFIXES = (".html", ".htm")
WARC_SUFFIXES = (".warc", ".warc.gz", ".wat", ".wat.gz")
HTML_TYPES = ("text/html", "application/xhtml+xml")
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+\-]*/[a-z0-9][a-z0-9.+\-]*")
ROWS_AT_ONCE = 5000
_TEXTS = (
    "reason uid url caption caption_source alt title_attribute figure_caption page_url page_title "
    "page_language page_language_source licence licence_url licence_source opt_out file"
)
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS.split()]
    + [(name, pa.int64()) for name in ("width_attr", "height_attr", "record", "place")]
    + [("is_own_host", pa.bool_())]
)


class CrawlFile(NamedTuple):
    """A file of a crawl, its name there, and the stem of the two files it is read into."""

    path: Path
    name: str
    part: Path

    @property
    def table(self) -> Path:
        return self.part.with_suffix(".parquet")

    @property
    def tally(self) -> Path:
        """Written last: a file has been read when its tally is there."""
        return self.part.with_suffix(".json")


def read_crawl_file(file: CrawlFile, config: HarvestConfig, policy: ScrapeConfig) -> int:
    """Read a file, if that was not done before; returns its bytes."""
    if not file.tally.is_file():
        tally = Tally()
        with atomic_path(file.table) as table, pq.ParquetWriter(table, SCHEMA) as writer:
            waiting: list[Row] = []
            for number, page in enumerate(pages_of(file, config, tally)):
                for place, row in enumerate(rows_of(page, config, policy, tally)):
                    waiting.append(row | {"file": file.name, "record": number, "place": place})
                    if len(waiting) >= ROWS_AT_ONCE:
                        writer.write_table(_table(waiting))
                        waiting.clear()
            writer.write_table(_table(waiting))
        with atomic_path(file.tally) as temporary:
            temporary.write_text(json.dumps(tally.as_json()))
    return file.path.stat().st_size


def pages_of(file: CrawlFile, config: HarvestConfig, tally: Tally) -> Iterator[Page]:
    """Yield the pages of a file and count what becomes of each of its records."""
    if file.name.lower().endswith(HTML_SUFFIXES):
        yield from _html_file(file, config, tally)
        return
    try:
        for block in blocks(file.path, config.max_record_bytes):
            outcome, page = _page_of(block, config, tally)
            tally.records[outcome] += 1
            if page is not None:
                yield page
    except BrokenCrawl as fault:
        if config.on_broken == "fail":
            raise
        tally.records["broken"] += 1
        tally.faults.append(str(fault))


def _table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _html_file(file: CrawlFile, config: HarvestConfig, tally: Tally) -> Iterator[Page]:
    """Read a saved page; its address is what it says, or lies under `base_url`."""
    if file.path.stat().st_size > config.max_record_bytes:
        tally.records["too_large"] += 1
        return
    content = file.path.read_bytes()
    if not content.strip():
        tally.records["empty"] += 1
        return
    tree = parse(content, None)
    url = own_address(content, tree) or (config.base_url and urljoin(config.base_url, quote(file.name)))
    if not url:
        raise ValueError(
            f"a page needs an address, for its images' addresses lead on from there; {file.path} names none "
            "(no saver's note, canonical link or base); say where such files come from with harvest.base_url"
        )
    tally.records["page"] += 1
    yield page_of_tree(tree, url, config.lazy_attributes)


def _page_of(block: Block, config: HarvestConfig, tally: Tally) -> tuple[str, Page | None]:
    """Give the outcome of a record, and its page if it is one."""
    if block.kind == "metadata" and block.content_type.startswith("application/json"):
        return _wat_record(block, tally)
    is_resource = block.kind == "resource" and block.content_type.startswith(HTML_TYPES)
    if not (block.kind == "response" or is_resource) or not block.url.startswith(("http://", "https://")):
        return "no_response", None
    if block.content is None:
        return "too_large", None
    if is_resource:
        return _answer(block, Answer(200, [], block.content_type, None, block.content), config, tally)
    try:
        return _answer(block, answer_of(block, config.max_record_bytes), config, tally)
    except Undecodable:
        return "undecodable", None


def _answer(block: Block, answer: Answer, config: HarvestConfig, tally: Tally) -> tuple[str, Page | None]:
    tally.statuses[str(answer.status)] += 1
    tally.content_types[_content_type(answer.content_type)] += 1
    if answer.status != 200:
        return "status", None
    if answer.body is None:
        return "too_large", None
    if not answer.body.strip():
        return "empty", None
    if not (
        answer.content_type.startswith(HTML_TYPES) or (not answer.content_type and _is_html(answer.body))
    ):
        return "not_html", None
    page = html_page(answer.body, block.url, answer.headers, answer.charset, config.lazy_attributes)
    return "page", page


def _wat_record(block: Block, tally: Tally) -> tuple[str, Page | None]:
    if block.content is None:
        return "too_large", None
    try:
        found = envelope(block.content)
    except NotAnEnvelope:
        return "undecodable", None
    response = response_of(found)
    if response is None:
        return "no_response", None
    status = status_of(response)
    types = [value for name, value in headers_of(response) if name.lower() == "content-type"]
    tally.statuses[status if re.fullmatch("[1-9][0-9]{2}", status) else "odd"] += 1
    tally.content_types[_content_type(types[0] if types else "")] += 1
    if status != "200":
        return "status", None
    page = wat_page(found, response)
    if page is None or not page.url.startswith(("http://", "https://")):
        return "not_html", None
    return "page", page


def _content_type(header: str) -> str:
    kind = header.partition(";")[0].strip().lower()
    return kind if len(kind) <= 60 and _CONTENT_TYPE.fullmatch(kind) else "odd" if kind else "none"


def _is_html(body: bytes) -> bool:
    from resiliparse.parse.encoding import detect_mime

    return detect_mime(body[:4096]) in HTML_TYPES
