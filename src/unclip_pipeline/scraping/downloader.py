"""img2dataset's frame with our fetch, decode policy and writer in it. Import where needed: it is slow."""

import hashlib
from collections.abc import Iterator, Mapping
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Semaphore
from typing import Any, NamedTuple

import pyarrow as pa

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Body, Fetcher
from unclip_pipeline.scraping.img2dataset_guard import Downloader, Reader, Resizer
from unclip_pipeline.scraping.opt_out import TOKEN
from unclip_pipeline.scraping.shard_files import ShardWriter, shard_name, status_schema
from unclip_pipeline.scraping.stored_image import store_image

OWN_COLUMNS = ["uid", "refused", "refused_reason"]


class Row(NamedTuple):
    """A row of a shard, in the order of img2dataset's columns."""

    uid: str
    refused: str | None
    refused_reason: str | None
    caption: str
    url: str


class Tally(NamedTuple):
    """What a finished shard reports."""

    shard: int
    rows: int
    kept: int


def shards_to_fetch(list_path: Path, scratch: Path, finished: set[int], config: ScrapeConfig) -> Reader:
    """Have img2dataset cut a list into shards; iterating gives (number, file) of those not finished."""
    return Reader(
        url_list=str(list_path),
        input_format="parquet",
        url_col="url",
        caption_col="caption",
        verify_hash_col=None,
        verify_hash_type=None,
        save_additional_columns=OWN_COLUMNS,
        number_sample_per_shard=config.shard_size,
        done_shards=finished,
        tmp_path=str(scratch),
    )


class AccountedDownloader(Downloader):
    """img2dataset's downloader of a shard, in which every URL ends with exactly one fate."""

    def __init__(
        self, folder: Path, identities: Mapping[int, str], taken_down: Mapping[str, str], config: ScrapeConfig
    ) -> None:
        super().__init__(
            sample_writer_class=ShardWriter,
            resizer=Resizer(
                config.max_side_px, "keep_ratio_largest", resize_only_if_bigger=True,
                encode_quality=config.jpeg_quality,
            ),
            thread_count=config.threads,
            save_caption=True,
            extract_exif=False,
            output_folder=str(folder),
            column_list=list(Row._fields),
            timeout=config.timeout_s,
            number_sample_per_shard=config.shard_size,
            oom_shard_count=5,
            compute_hash="sha256",
            verify_hash_type=None,
            encode_format="jpg",
            retries=config.retries,
            user_agent_token=TOKEN,
            disallowed_header_directives=list(config.refused_directives),
        )  # fmt: skip
        self._identities = identities
        self._taken_down = taken_down
        self._config = config
        self._fetcher: Fetcher | None = None  # holds sockets: made where it is used

    def download_shard(self, row: tuple[int, str]) -> Tally:
        """Fetch one shard and publish its files; its input stays, for whoever must do it again."""
        number, list_path = row
        rows = _read_rows(list_path, self.column_list)
        writer = self.sample_writer_class(
            number, self.output_folder, self.save_caption, self.oom_shard_count,
            status_schema(self._identities[number]), self.encode_format,
        )  # fmt: skip
        kept = 0
        for listed, answer in self._answers(rows):
            image, status = self._judge(listed, answer)
            kept += image is not None
            writer.write(image, listed.uid, listed.caption, {**status, "shard": shard_name(number)})
        writer.close()
        return Tally(number, len(rows), kept)

    def _answers(self, rows: list[Row]) -> Iterator[tuple[Row, Body | ScrapeFailure]]:
        """Fetch in threads, never more than twice their number ahead of whoever decodes."""
        room = Semaphore(2 * self.thread_count)
        if self._fetcher is None:
            self._fetcher = Fetcher(self._config)

        def when_there_is_room() -> Iterator[Row]:
            for row in rows:
                room.acquire()
                yield row

        with ThreadPool(self.thread_count) as threads:
            try:
                for answer in threads.imap_unordered(self._ask, when_there_is_room()):
                    yield answer
                    room.release()
            finally:
                room.release(len(rows))  # or a fault would leave the pool waiting for room

    def _ask(self, row: Row) -> tuple[Row, Body | ScrapeFailure]:
        if row.refused is not None:
            return row, ScrapeFailure(row.refused, row.refused_reason or "")
        try:
            return row, self._fetcher.fetch(row.url)
        except ScrapeFailure as failure:
            return row, failure

    def _judge(self, row: Row, answer: Body | ScrapeFailure) -> tuple[bytes | None, dict[str, Any]]:
        """Give a row its fate; returns the image to keep, if any, and the status row."""
        status = dict.fromkeys(
            ("http_status", "error", "sha256", "width", "height", "bytes", "final_url", "content_type")
        )
        status |= {"uid": row.uid, "url": row.url}
        if isinstance(answer, ScrapeFailure):
            return None, {**status, **_ended(answer)}
        sha256 = hashlib.sha256(answer.content).hexdigest()
        status |= {
            "http_status": answer.http_status,
            "sha256": sha256,
            "bytes": len(answer.content),
            "final_url": answer.final_url,
            "content_type": answer.content_type,
        }
        try:
            if sha256 in self._taken_down:
                raise ScrapeFailure("scrape.taken_down", self._taken_down[sha256])
            image = store_image(answer.content, self._config, self.resizer)
        except ScrapeFailure as failure:
            return None, {**status, **_ended(failure), "http_status": answer.http_status}
        size = {"width": image.width, "height": image.height}
        facts = {
            "uid": row.uid, "url": row.url, "final_url": answer.final_url, "sha256": sha256, **size,
            "source_width": image.source_width, "source_height": image.source_height,
            "extension": image.extension,
        }  # fmt: skip
        return image.content, {**status, **size, "fate": KEPT, "sample": facts}


def _ended(failure: ScrapeFailure) -> dict[str, Any]:
    return {"fate": failure.fate, "error": failure.reason, "http_status": failure.http_status}


def _read_rows(path: str, columns: list[str]) -> list[Row]:
    with pa.memory_map(path) as source:
        table = pa.ipc.open_file(source).read_all().select(columns)
    return [Row(*values) for values in zip(*(table[name].to_pylist() for name in columns), strict=True)]
