"""The files of a raw shard, and how they appear: all of them or none.

`00012.tar` holds what was kept, `00012.parquet` a status row for every URL, `00012.stats.json` the counts.
A shard is published in two steps. Its files are first written whole, fsynced, under hidden names; renaming
the hidden table to `.00012.<process>.parquet.next` is the commit. Then all move to their final names, the
table last. `recover` finishes what was committed and forgets what was not, so that a kill at any moment
leaves either the old shard or the new one, never one's images with the other's table.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.files import SUCCESS, atomic_path
from unclip_pipeline.corpus.shards import tar_bytes
from unclip_pipeline.scraping.config import ScrapeConfig

FORMAT_VERSION = 2
CHOICES_KEY, TAR_SIZE_KEY = b"scrape_choices", b"tar_size"
STATUS_COLUMNS = pa.schema(
    [
        ("uid", pa.string()),
        ("url", pa.string()),
        ("fate", pa.string()),
        ("http_status", pa.int64()),
        ("error", pa.string()),
        ("sha256", pa.string()),  # of the bytes as fetched
        ("width", pa.int64()),  # of the image as kept
        ("height", pa.int64()),
        ("source_width", pa.int64()),  # as fetched
        ("source_height", pa.int64()),
        ("flags", pa.string()),  # what is odd about the image as fetched, comma separated
        ("bytes", pa.int64()),  # fetched
        ("shard", pa.string()),
        ("final_url", pa.string()),
        ("content_type", pa.string()),
        ("etag", pa.string()),
        ("permission", pa.string()),  # allowed, refused or unknown; null where nobody was asked
    ]
)
SCRATCH = "_tmp"
_KINDS = ("tar", "stats.json", "parquet")  # the table last: it says that the others are there
_FINAL = re.compile(r"(\d{5,})\.(?:tar|stats\.json|parquet)")
_PASSING = re.compile(r"\..*\.(?:part|old|next)|_tmp|_identity\.json|_SUCCESS")


class ShardFiles(NamedTuple):
    """Where a shard lies, or its files on their way there."""

    tar: Path
    stats: Path
    table: Path

    @classmethod
    def of(cls, folder: Path, number: int) -> "ShardFiles":
        """Name the files of a shard."""
        return cls(*(folder / f"{shard_name(number)}.{kind}" for kind in _KINDS))

    @classmethod
    def staged(cls, folder: Path, number: int, process: int) -> "ShardFiles":
        """Name the files of a shard before all of them are there."""
        return cls(*(folder / f".{shard_name(number)}.{process}.{kind}.next" for kind in _KINDS))


def shard_name(number: int) -> str:
    """Write a shard's number as its files do."""
    return f"{number:05d}"


def choices_digest(config: ScrapeConfig) -> str:
    """Name what a shard's bytes depend on besides the web and its rows."""
    facts = [FORMAT_VERSION, config.in_the_bytes()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def publish_shard(
    folder: Path,
    number: int,
    members: Iterable[tuple[str, Callable[[], bytes]]],
    statuses: Iterable[dict[str, Any]],
    choices: str,
) -> None:
    """Put a shard in its place, in uid order; the one that was there before gives way whole.

    `members` are the tar's, by name, with what reads them.
    """
    staged = ShardFiles.staged(folder, number, os.getpid())
    tar_bytes(staged.tar, members)
    table = _status_table(statuses, choices, staged.tar.stat().st_size)
    with atomic_path(staged.stats) as temporary:
        temporary.write_text(json.dumps(_stats(table), indent=2, sort_keys=True))
    with atomic_path(staged.table) as temporary:
        pq.write_table(table, temporary)
    _move(staged, ShardFiles.of(folder, number))


def recover(folder: Path) -> None:
    """Finish what a killed run had committed."""
    for table in folder.glob(".*.parquet.next"):
        _, number, process, *_ = table.name.split(".")
        _move(ShardFiles.staged(folder, int(number), int(process)), ShardFiles.of(folder, int(number)))


def finished_tables(folder: Path, choices: str) -> Iterator[tuple[int, Path]]:
    """Find the shards that are there in full and were made by these choices."""
    for table in sorted(folder.glob("[0-9]*.parquet")):
        match = _FINAL.fullmatch(table.name)
        if match is not None and _is_finished(ShardFiles.of(folder, int(match[1])), choices):
            yield int(match[1]), table


def remove_shard(folder: Path, number: int) -> None:
    """Delete a shard, the table first: without it the rest counts for nothing."""
    for path in reversed(ShardFiles.of(folder, number)):
        path.unlink(missing_ok=True)


def remove_all_but(folder: Path, numbers: set[int]) -> None:
    """Clear a folder of everything a scrape may have left there, except these finished shards."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name != SUCCESS):
        match = _FINAL.fullmatch(path.name)
        if match is not None and int(match[1]) in numbers:
            continue
        if match is None and _PASSING.fullmatch(path.name) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _move(staged: ShardFiles, final: ShardFiles) -> None:
    for source, target in zip(staged, final, strict=True):
        if source.exists():  # not what an earlier attempt has moved already
            os.replace(source, target)


def _status_table(statuses: Iterable[dict[str, Any]], choices: str, tar_size: int) -> pa.Table:
    metadata = {CHOICES_KEY: choices.encode(), TAR_SIZE_KEY: str(tar_size).encode()}
    rows = sorted(statuses, key=lambda row: row["uid"])
    return pa.Table.from_pylist(rows, schema=STATUS_COLUMNS.with_metadata(metadata))


def _stats(table: pa.Table) -> Mapping[str, Any]:
    fates = table["fate"].value_counts().to_pylist()
    return {
        "rows": table.num_rows,
        "fetched_bytes": sum(size or 0 for size in table["bytes"].to_pylist()),
        "kept": sum(found["counts"] for found in fates if found["values"] == KEPT),
        "fates": {found["values"]: found["counts"] for found in fates},
    }


def _is_finished(files: ShardFiles, choices: str) -> bool:
    if not all(path.is_file() for path in files):
        return False
    metadata = pq.read_schema(files.table).metadata or {}
    is_whole = metadata.get(TAR_SIZE_KEY) == str(files.tar.stat().st_size).encode()
    return is_whole and metadata.get(CHOICES_KEY) == choices.encode()
