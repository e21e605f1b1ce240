"""Write the pages of the miniature web as a crawler stores them: one WARC file per host.

The bytes are those of the site's archives, with the headers that its server sends. The same site gives the
same files: dates and record ids are fixed.
"""

import json
import re
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from unclip_pipeline.corpus.files import SUCCESS, atomic_folder
from unclip_pipeline.world.website import ROUTES

CRAWLED_AT = "2026-01-01T00:00:00Z"
_TEXT = ("text/html", "text/plain")
_OWN_FILE = re.compile(rf"127\.\d+\.\d+\.\d+\.warc\.gz|{SUCCESS}")
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "unclip_pipeline.world")


def write_crawl(site: Path, folder: Path) -> None:
    """Write the pages of a site as WARC files, or nothing; raises where that would replace files of another's."""
    if folder.is_dir() and not all(_OWN_FILE.fullmatch(file.name) for file in folder.iterdir()):
        raise FileExistsError(
            f"the world's crawl replaces only one that it wrote, but {folder} holds other files; move them, and "
            "name their folder as `crawl` in conf/local/catalog.yml to harvest them with from_crawl"
        )
    with atomic_folder(folder) as unfinished:
        for routes in sorted(site.glob(f"*.{ROUTES}")):
            host = routes.name.removesuffix(f".{ROUTES}")
            port = json.loads(routes.read_text())["port"]
            write_warc(unfinished / f"{host}.warc.gz", f"http://{host}:{port}", _answers(site, host))


def write_warc(file: Path, origin: str, answers: Iterator[tuple[str, bytes]]) -> None:
    """Write answers by path, each as HTTP's bytes, as response records of an origin."""
    from fastwarc.stream_io import GzipWriter
    from fastwarc.warc import WarcRecordType

    with file.open("wb") as raw, GzipWriter(raw) as stream:
        described = b"software: unclip_pipeline\r\nformat: WARC File Format 1.1\r\n"
        _write(stream, WarcRecordType.warcinfo, file.name, "application/warc-fields", described)
        for path, content in answers:
            kind = "application/http;msgtype=response"
            _write(stream, WarcRecordType.response, f"{origin}{path}", kind, content)


def _write(stream: object, kind: object, url: str, content_type: str, content: bytes) -> None:
    from fastwarc.warc import WarcRecord, WarcRecordType

    record = WarcRecord()
    record.init_headers(kind, str(uuid.uuid5(_NAMES, url)).encode(), content_length=len(content))
    record.headers["WARC-Date"] = CRAWLED_AT
    if kind == WarcRecordType.response:
        record.headers["WARC-Target-URI"] = url
    record.headers["Content-Type"] = content_type
    record.set_bytes_content(content)
    record.write(stream)


def _answers(site: Path, host: str) -> Iterator[tuple[str, bytes]]:
    """Yield the pages and plain texts of a host as its server sends them."""
    routes = json.loads((site / f"{host}.{ROUTES}").read_text())["answers"]
    with (site / f"{host}.tar").open("rb") as archive:
        for path, (status, headers, offset, size) in sorted(routes.items()):
            if not dict(headers).get("Content-Type", "").startswith(_TEXT):
                continue
            archive.seek(offset)
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
            lines += [f"{name}: {value}" for name, value in [*headers, ("Content-Length", size)]]
            yield path, "\r\n".join([*lines, "", ""]).encode("latin-1") + archive.read(size)
