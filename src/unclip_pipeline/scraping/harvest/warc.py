"""Read the records of WARC and WAT files one at a time; nothing that breaks off passes for the end."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_GZIP_MAGIC = b"\x1f\x8b"


class BrokenCrawl(ValueError):
    """A file of a crawl that cannot be read to its end."""


class Block(NamedTuple):
    """One record: what its header says, and its content; None if that is larger than is read."""

    kind: str  # response, metadata, ...
    url: str
    content_type: str
    content: bytes | None


class Answer(NamedTuple):
    """What a server sent."""

    status: int
    headers: list[tuple[str, str]]
    content_type: str
    charset: str | None
    body: bytes | None  # None if it unpacks to more than is read


class Undecodable(ValueError):
    """An answer that cannot be unpacked as its headers say."""


def blocks(file: Path, max_bytes: int) -> Iterator[Block]:
    """Yield every record of a file; raise BrokenCrawl where it breaks off or is no WARC.

    The reader below takes a file that ends inside a record, or inside a packed member, for one that ends:
    so the length of every record is compared with what its header says, and gzip is undone here.
    """
    from fastwarc.warc import ArchiveIterator

    number = 0
    with file.open("rb") as raw:
        try:
            for record in ArchiveIterator(_unpacked(raw), parse_http=False, stream_detect=False):
                block = _block(record, max_bytes)
                number += 1
                yield block
        except (OSError, EOFError, zlib.error) as fault:
            raise BrokenCrawl(
                f"{file} must be a whole WARC file, but breaks off after record {number}, near byte "
                f"{raw.tell():,} of {file.stat().st_size:,}: {fault}; fetch it again, take it away, or set "
                "harvest.on_broken to count to use what comes before"
            ) from fault


def answer_of(block: Block, max_bytes: int) -> Answer:
    """Take a server's answer apart and undo its encodings; raises Undecodable.

    Some archivers undo encodings and keep the headers that name them: what looks like markup is taken as is.
    """
    content = block.content or b""
    record = _response(content)
    try:
        record.parse_http(auto_decode="all")
        body = record.reader.read(max_bytes + 1)
    except (OSError, ValueError) as fault:
        record = _response(content)
        record.parse_http(auto_decode="none")
        body = record.reader.read(max_bytes + 1)
        if not body.lstrip().startswith(b"<"):
            raise Undecodable(str(fault)) from fault
    headers = record.http_headers
    if headers is None or headers.status_code is None:
        raise Undecodable("no status line")
    return Answer(
        int(headers.status_code),
        list(headers.to_tuples()),
        (record.http_content_type or "").lower(),
        record.http_charset,
        body if len(body) <= max_bytes else None,
    )


def _response(content: bytes) -> "WarcRecord":
    from fastwarc.warc import WarcRecord, WarcRecordType

    record = WarcRecord()
    record.init_headers(WarcRecordType.response, content_length=len(content))
    record.set_bytes_content(content)
    record.is_http = True
    return record


class _Gunzip(gzip.GzipFile):
    """Gives all that comes before a fault: a plain `read` of much would raise instead."""

    def read(self, size: int | None = -1) -> bytes:
        return self.read1(-1 if size is None else size)


def _unpacked(raw: BufferedIOBase) -> BufferedIOBase:
    """Undo gzip; Python's reader raises where a member breaks off."""
    magic = raw.read(len(_GZIP_MAGIC))
    raw.seek(0)
    return _Gunzip(fileobj=raw) if magic == _GZIP_MAGIC else raw


def _block(record: "WarcRecord", max_bytes: int) -> Block:
    headers = record.headers
    if headers.get("Content-Length") is None:
        raise EOFError("a record without a length")
    is_read = record.content_length <= max_bytes
    content = record.reader.read() if is_read else None
    length = len(content) if content is not None else record.reader.consume()
    if length != record.content_length:
        raise EOFError(f"a record of {record.content_length:,} bytes has {length:,}")
    return Block(
        (headers.get("WARC-Type") or "").lower(),
        (headers.get("WARC-Target-URI") or "").strip("<> "),
        (headers.get("Content-Type") or "").lower(),
        content,
    )
