"""The two files of a raw shard: the tar of what was kept, and a status row for every URL.

The table is written last: a shard is finished when its table is there and carries its identity.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.scraping.config import ScrapeConfig

FORMAT_VERSION = 1
IDENTITY_KEY = b"shard_identity"
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
        ("bytes", pa.int64()),  # fetched
        ("shard", pa.string()),
        ("final_url", pa.string()),
        ("content_type", pa.string()),
    ]
)
_OWN_FILES = re.compile(r"(\d{5,})\.(tar|parquet)|\..*\.(part|old)|_tmp|_identity\.json|_SUCCESS")


class ShardFiles(NamedTuple):
    """Where a shard lies."""

    tar: Path
    table: Path

    @classmethod
    def of(cls, folder: Path, number: int) -> "ShardFiles":
        """Name the files of a shard."""
        return cls(folder / f"{shard_name(number)}.tar", folder / f"{shard_name(number)}.parquet")


def shard_name(number: int) -> str:
    """Write a shard's number as its files do."""
    return f"{number:05d}"


def shard_identity(rows: pd.DataFrame, config: ScrapeConfig) -> str:
    """Name what a shard's bytes depend on, besides the web: its rows, their refusals, and the choices."""
    facts = [FORMAT_VERSION, config.in_the_bytes(), rows[["uid", "url", "refused"]].to_dict("list")]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def is_finished(folder: Path, number: int, identity: str, taken_down: Mapping[str, str]) -> bool:
    """Tell whether a shard of this identity is there, and holds no image that has been taken down since."""
    files = ShardFiles.of(folder, number)
    if not (files.tar.is_file() and files.table.is_file()):
        return False
    if (pq.read_schema(files.table).metadata or {}).get(IDENTITY_KEY) != identity.encode():
        return False
    kept = pq.read_table(files.table, columns=["sha256"], filters=[("fate", "=", KEPT)])
    return taken_down.keys().isdisjoint(kept["sha256"].to_pylist())


class ShardWriter:
    """Collects a shard and publishes it whole, in uid order; takes the place of img2dataset's writers."""

    def __init__(
        self,
        shard_id: int,
        output_folder: str,
        save_caption: bool,
        oom_shard_count: int,
        schema: pa.Schema,
        encode_format: str,
    ) -> None:
        self._files = ShardFiles.of(Path(output_folder), shard_id)
        self._schema = schema
        self._samples: list[Sample] = []
        self._statuses: list[dict[str, Any]] = []

    def write(self, img_str: bytes | None, key: str, caption: str, meta: dict[str, Any]) -> None:
        """Take in one URL: its status row `meta`, and its image unless there is none.

        `meta["sample"]`, if there, is what the image's own json says.
        """
        status = dict(meta)
        facts = status.pop("sample", None)
        self._statuses.append(status)
        if img_str is not None:
            self._samples.append(Sample(key, img_str, facts["extension"], caption, facts))

    def close(self) -> None:
        """Publish the shard."""
        write_shard(self._files.tar, self._samples)
        table = pa.Table.from_pylist(sorted(self._statuses, key=lambda row: row["uid"]), schema=self._schema)
        with atomic_path(self._files.table) as temporary:
            pq.write_table(table, temporary)


def status_schema(identity: str) -> pa.Schema:
    """Give the status table of a shard its identity."""
    return STATUS_COLUMNS.with_metadata({IDENTITY_KEY: identity.encode()})


def remove_all_but(folder: Path, numbers: set[int]) -> None:
    """Clear a folder of everything a scrape may have left there, except these finished shards."""
    for path in folder.iterdir():
        match = _OWN_FILES.fullmatch(path.name)
        if match is None or (match[1] is not None and int(match[1]) in numbers):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
