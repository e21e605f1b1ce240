"""Fetch one shard, in a worker: every URL ends with exactly one fate, and the shard appears whole."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.shards import Sample, members_of, read_shard
from unclip_pipeline.scraping.ahead import work_ahead
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.decoding_room import DecodingRoom
from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.fetch import Fetcher
from unclip_pipeline.scraping.plan import Row, ShardTask
from unclip_pipeline.scraping.records import Records, now, permission_of
from unclip_pipeline.scraping.running import ShardProgress
from unclip_pipeline.scraping.shard_files import (
    SCRATCH,
    STATUS_COLUMNS,
    ShardFiles,
    choices_digest,
    publish_shard,
    shard_name,
)
from unclip_pipeline.scraping.spool import Spool
from unclip_pipeline.scraping.stored_image import StoredImage, store_image
from unclip_pipeline.scraping.takedowns import TAKEN_DOWN, Takedowns

_NO_IMAGE = dict.fromkeys(("width", "height", "source_width", "source_height", "flags"))
_IN_THE_IMAGES_JSON = (
    "uid", "url", "final_url", "sha256", "width", "height", "source_width", "source_height", "flags",
)  # fmt: skip


class Tally(NamedTuple):
    """What a finished shard reports: its number, and rows that were asked for by fate."""

    shard: int
    fates: dict[str, int]


class Answered(NamedTuple):
    """A row with what came of it, and when it was asked for; None where no request was made.

    A body comes with its sha256, and with the image to keep or the reason why there is none.
    """

    row: Row
    answer: Body | ScrapeFailure
    asked_at: datetime | None = None
    sha256: str | None = None
    image: StoredImage | ScrapeFailure | None = None


class ShardDownloader:
    """Writes shards into `folder` and their records into `records`, for one run."""

    def __init__(
        self, folder: Path, records: Path, run: str, takedowns: Takedowns, config: ScrapeConfig
    ) -> None:
        self._folder, self._records, self._run = folder, records, run
        self._takedowns, self._config = takedowns, config

    @cached_property
    def _decoding(self) -> DecodingRoom:
        return DecodingRoom()

    @cached_property
    def _fetcher(self) -> Fetcher:  # holds sockets: made where it is used
        return Fetcher(self._config, self._takedowns)

    def __call__(self, task: ShardTask) -> Tally:
        """Write one shard: what stays of the one on disk, and what comes of the rows to ask for."""
        name, scratch = shard_name(task.number), self._folder / SCRATCH
        progress, records = ShardProgress(scratch, self._run, name), Records()
        spool = Spool(scratch)
        shard = _Shard(name, spool, [], [])
        self._take_over(task, shard)
        for answered in self._answers(task.ask):
            progress.count(_conclude(answered, shard))
            if answered.asked_at is not None:
                records.add(answered.row.uid, answered.answer, answered.asked_at)
        progress.check_run()
        staying = {row.uid for row in task.stay}
        records.write(self._records, name, staying.__contains__)
        publish_shard(self._folder, task.number, shard.members, shard.statuses, choices_digest(self._config))
        spool.close()
        return Tally(task.number, progress.finish())

    def _take_over(self, task: ShardTask, shard: "_Shard") -> None:
        """Bring along the rows that stay, without the images of those taken down since."""
        if not task.stay:
            return
        files, staying = ShardFiles.of(self._folder, task.number), {row.uid: row for row in task.stay}
        kept = set()
        for status in pq.read_table(files.table).to_pylist():
            row = staying.get(status["uid"])
            if row is None:
                continue
            status["url"] = row.url
            if (reason := self._takedowns.of_answer(status["final_url"], status["sha256"])) is not None:
                failure = ScrapeFailure(TAKEN_DOWN, reason)
                status |= {"fate": failure.fate, "error": failure.reason, **_NO_IMAGE}
            elif status["fate"] == KEPT:
                kept.add(status["uid"])
            shard.statuses.append(status)
        for sample in read_shard(files.tar) if kept else ():
            if sample.uid in kept:
                shard.keep(sample._replace(meta={**sample.meta, "url": staying[sample.uid].url}))

    def _answers(self, rows: list[Row]) -> Iterator[Answered]:
        """Fetch and decode in threads as hosts have room, no further ahead than their number."""
        threads = max(1, min(self._config.threads, len(rows)))
        fetcher, _ = self._fetcher, self._decoding  # made here, once, before many threads want them
        in_turn = fetcher.in_turn(rows, lambda row: row.url if row.refused is None else None)
        return work_ahead(self._ask, in_turn, threads, threads)

    def _ask(self, row: Row) -> Answered:
        if row.refused is not None:
            return Answered(row, ScrapeFailure(row.refused, row.refused_reason or ""))
        asked_at = now()
        try:
            body = self._fetcher.fetch(row.url)
        except ScrapeFailure as failure:
            return Answered(row, failure, asked_at)
        sha256 = hashlib.sha256(body.content).hexdigest()
        try:
            return Answered(row, body, asked_at, sha256, self._store(body, sha256))
        except ScrapeFailure as failure:
            return Answered(row, body, asked_at, sha256, failure.let_go())

    def _store(self, body: Body, sha256: str) -> StoredImage:
        """Bring a body to the form that shards hold; few at a time, large pictures one by one."""
        if (reason := self._takedowns.sha256.get(sha256)) is not None:
            raise ScrapeFailure(TAKEN_DOWN, reason)
        return store_image(body.content, self._config, body.content_type, self._decoding.room_for)


def _conclude(answered: Answered, shard: "_Shard") -> str:
    """Write down the fate of a row, and put its image into the shard if it is kept."""
    row, answer, _, sha256, image = answered
    status = dict.fromkeys(STATUS_COLUMNS.names) | {"uid": row.uid, "url": row.url, "shard": shard.name}
    status["permission"] = permission_of(answer)
    shard.statuses.append(status)
    if isinstance(answer, ScrapeFailure):
        status |= {"fate": answer.fate, "error": answer.reason}
        status |= {"http_status": answer.http_status, "final_url": answer.final_url or None}
        return answer.fate
    status |= {
        "http_status": answer.http_status,
        "sha256": sha256,
        "bytes": len(answer.content),
        "final_url": answer.final_url,
        "content_type": answer.content_type,
        "etag": answer.etag or None,
    }
    if isinstance(image, ScrapeFailure):
        status |= {"fate": image.fate, "error": image.reason}
        return image.fate
    sizes = {name: getattr(image, name) for name in ("width", "height", "source_width", "source_height")}
    status |= {"fate": KEPT, **sizes, "flags": ",".join(image.flags)}
    facts = {name: status[name] for name in _IN_THE_IMAGES_JSON} | {"extension": image.extension}
    shard.keep(Sample(row.uid, image.content, image.extension, row.caption, facts))
    return KEPT


class _Shard(NamedTuple):
    """A shard in the making."""

    name: str
    spool: Spool
    members: list[tuple[str, Callable[[], bytes]]]
    statuses: list[dict[str, Any]]

    def keep(self, sample: Sample) -> None:
        self.members.extend((name, self.spool.put(content)) for name, content in members_of(sample))
