"""What was measured and read while asking: times, retries, evidence. It differs from run to run.

Nothing here decides anything, so that shards and ledger stay the same whenever the web is. Each shard has
two tables of its own, in a folder beside the shards': `00012.requests.parquet`, `00012.evidence.parquet`.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.scraping.answer import Body
from unclip_pipeline.scraping.failure import ScrapeFailure

_MOMENT = pa.timestamp("ms", tz="UTC")
REQUEST_COLUMNS = pa.schema(
    [
        ("uid", pa.string()),
        ("asked_at", _MOMENT),
        ("elapsed_ms", pa.int64()),
        ("attempts", pa.int64()),
        ("hops", pa.int64()),  # redirects followed; null where the way did not end
        ("bytes", pa.int64()),  # read, kept or not
    ]
)
EVIDENCE_COLUMNS = pa.schema(
    [
        ("uid", pa.string()),  # null where a signal holds for a whole host
        ("scope", pa.string()),
        ("where", pa.string()),
        ("signal", pa.string()),
        ("raw", pa.string()),
        ("decision", pa.string()),
        ("rule", pa.string()),
        ("at", _MOMENT),
    ]
)
_HOST = "host"
_ROBOTS = "robots.txt"


class Records:
    """Collects what was measured in one shard."""

    def __init__(self) -> None:
        self._requests: list[dict[str, Any]] = []
        self._evidence: dict[tuple[object, ...], dict[str, Any]] = {}

    def add(self, uid: str, answer: Body | ScrapeFailure, asked_at: datetime) -> None:
        """Take in what came of one URL; a host's signal is noted once."""
        is_body = isinstance(answer, Body)
        self._requests.append(
            {
                "uid": uid,
                "asked_at": asked_at,
                "elapsed_ms": answer.elapsed_ms,
                "attempts": answer.attempts,
                "hops": answer.hops if is_body else None,
                "bytes": len(answer.content) if is_body else answer.bytes_read,
            }
        )
        for signal in answer.evidence:
            owner = None if signal.scope == _HOST else uid
            row = {"uid": owner, **signal._asdict(), "at": asked_at}
            self._evidence.setdefault((owner, *signal), row)

    def write(self, folder: Path, shard: str, is_staying: Callable[[str], bool]) -> None:
        """Write both tables of a shard; rows that stay there keep the records of their own time."""
        for kind, rows, schema in (
            ("requests", self._requests, REQUEST_COLUMNS),
            ("evidence", self._evidence.values(), EVIDENCE_COLUMNS),
        ):
            path = folder / f"{shard}.{kind}.parquet"
            old = pq.read_table(path, schema=schema).to_pylist() if path.is_file() else []
            staying = [row for row in old if row["uid"] is None or is_staying(row["uid"])]
            with atomic_path(path) as temporary:
                pq.write_table(pa.Table.from_pylist([*staying, *rows], schema=schema), temporary)


def permission_of(answer: Body | ScrapeFailure) -> str | None:
    """Say what all signals came to: allowed, refused or unknown; None where nobody was asked.

    That robots.txt lets crawlers in is no word about use.
    """
    if isinstance(answer, ScrapeFailure):
        if answer.fate == "scrape.opted_out":
            return "refused"
        if not answer.attempts:
            return None
    is_allowed = any(signal.decision == "allowed" and signal.signal != _ROBOTS for signal in answer.evidence)
    return "allowed" if is_allowed else "unknown"


def now() -> datetime:
    """Read the clock, in UTC."""
    return datetime.now(UTC)


def requests_of(folder: Path, shards: Iterable[str]) -> pd.DataFrame:
    """Read the requests of these shards, sorted by uid; those whose records are lost have none."""
    return _read(folder, shards, "requests", REQUEST_COLUMNS).sort_values("uid", ignore_index=True)


def evidence_of(folder: Path, shards: Iterable[str]) -> pd.DataFrame:
    """Read the evidence of these shards; of a host's signal that several shards met, the first."""
    found = _read(folder, shards, "evidence", EVIDENCE_COLUMNS).sort_values("at", kind="stable")
    found = found.drop_duplicates([name for name in found.columns if name != "at"])
    return found.sort_values(["uid", "where", "signal", "at"], ignore_index=True)


def _read(folder: Path, shards: Iterable[str], kind: str, schema: pa.Schema) -> pd.DataFrame:
    paths = [folder / f"{shard}.{kind}.parquet" for shard in shards]
    tables = [pq.read_table(path, schema=schema) for path in paths if path.is_file()]
    return pa.concat_tables([schema.empty_table(), *tables]).to_pandas()
