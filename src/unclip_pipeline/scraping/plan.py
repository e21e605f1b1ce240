"""What is left to do: which rows to ask for, in which shard, and which finished shards must change.

There is no plan file that could disagree with the shards: their status tables say which row lies where.
Rows that a finished shard holds stay in it. Rows that no shard holds are sorted by uid and cut into new
shards, which take the lowest free numbers; so a run that was interrupted cuts the same shards again.

A list that grew gives the rows of the union, each with the fate and the image bytes that a fresh scrape of
the grown list would give it; only their distribution over shards may differ from the fresh scrape's.
A finished shard changes, without a request for what it keeps, where

- a row left the list: it leaves its shard; a shard without rows goes;
- a row, the address that it led to or its bytes were taken down since: its image goes, its fate says so;
- a takedown was lifted: the row is asked for again;
- `retry_failed` is set: rows whose last fate may pass (`may_pass`) are asked for once more;
- the list spells a URL in another way with the same meaning: the row takes the new spelling.

A choice that is in the bytes (`ScrapeConfig.in_the_bytes`) makes every shard unfinished.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from unclip_pipeline.scraping.failure import ScrapeFailure
from unclip_pipeline.scraping.takedowns import TAKEN_DOWN, Takedowns

_FATES_THAT_PASS = frozenset(
    {
        "scrape.connection_error",
        "scrape.empty",
        "scrape.host_not_found",
        "scrape.not_an_image",  # a page in place of the image: the site was down, or wanted a login
        "scrape.permission_unknown",  # the host's rules could not be read
        "scrape.redirect_loop",
        "scrape.timeout_total",
        "scrape.tls_error",
        "scrape.too_slow",
        "scrape.truncated",
    }
)


class Row(NamedTuple):
    """A row of the list as it goes to a worker; `refused` is its fate where it is not to be asked for."""

    uid: str
    url: str
    caption: str
    refused: str | None
    refused_reason: str | None


class ShardTask(NamedTuple):
    """One shard to write: rows to ask for, and rows that stay with what the shard on disk has of them."""

    number: int
    ask: list[Row]
    stay: list[Row]


class Plan(NamedTuple):
    """A whole scrape: finished shards by the rows they hold, and how each of them must change."""

    rows: pd.DataFrame
    finished: frozenset[int]
    places: dict[int, tuple[list[int], list[int]]]  # shard -> places in `rows` to ask for, and that stay

    @property
    def rows_to_ask(self) -> int:
        """Rows that need an answer, those refused beforehand included."""
        return sum(len(ask) for ask, _ in self.places.values())

    def tasks(self) -> Iterator[ShardTask]:
        """Yield the shards to write; one after the other, so that a long list is never held twice."""
        for number, (ask, stay) in sorted(self.places.items()):
            yield ShardTask(number, self._rows(ask), self._rows(stay))

    def _rows(self, places: list[int]) -> list[Row]:
        found = self.rows.iloc[places][list(Row._fields)].itertuples(index=False, name=None)
        return [Row(*values) for values in found]


def may_pass(fate: str) -> bool:
    """Tell whether asking once more may help.

    True for connection faults, timeouts, cut or empty answers, pages instead of images, and every HTTP
    status: a 404 is not asked again by itself, but `retry_failed` is somebody's explicit wish. False where
    the owner or the list said no, for URLs that cannot be asked for, and for whole images that do not fit.
    """
    return fate in _FATES_THAT_PASS or fate.startswith("scrape.http_")


def read_at_hand(tables: Iterable[tuple[int, Path]]) -> pd.DataFrame:
    """Read where each row lies, the shard's `number`, and what became of it."""
    columns = ["uid", "url", "fate", "error", "sha256", "final_url"]
    parts = [pq.read_table(path, columns=columns).to_pandas().assign(number=n) for n, path in tables]
    if not parts:
        return pd.DataFrame(columns=[*columns, "number"])
    return pd.concat(parts, ignore_index=True)


def make_plan(
    rows: pd.DataFrame,
    at_hand: pd.DataFrame,
    takedowns: Takedowns,
    *,
    shard_size: int,
    retry_failed: bool,
) -> Plan:
    """Compare the list, `rows` sorted by uid, with what is at hand."""
    first = at_hand.drop_duplicates("uid").rename(columns={"url": "old_url"})
    found = rows[["uid", "url", "refused", "refused_reason"]].merge(
        first, on="uid", how="left", validate="one_to_one"
    )
    changes: dict[int, tuple[list[int], list[int]]] = {int(n): ([], []) for n in at_hand["number"].unique()}
    dirty = _shrunk(at_hand, found)
    new = []
    for place, row in enumerate(found.itertuples(index=False)):
        if pd.isna(row.number):
            new.append(place)
            continue
        is_asked = _is_asked_again(row, takedowns, retry_failed)
        changes[int(row.number)][0 if is_asked else 1].append(place)
        if is_asked or row.url != row.old_url or _is_withdrawn(row, takedowns):
            dirty.add(int(row.number))
    finished = frozenset(number for number, (ask, stay) in changes.items() if ask or stay)
    places = {number: changes[number] for number in dirty & finished}
    cuts = (new[start : start + shard_size] for start in range(0, len(new), shard_size))
    free = (number for number in count() if number not in finished)
    return Plan(rows, finished, places | {number: (cut, []) for cut, number in zip(cuts, free, strict=False)})


def _shrunk(at_hand: pd.DataFrame, found: pd.DataFrame) -> set[int]:
    """Find the shards that hold rows they should not: unlisted ones, or those of an earlier shard."""
    held = at_hand["number"].value_counts()
    wanted = found["number"].value_counts()
    return {int(number) for number, rows in held.items() if rows != wanted.get(number, 0)}


def _is_asked_again(row: Any, takedowns: Takedowns, retry_failed: bool) -> bool:
    if not pd.isna(row.refused):
        return (row.fate, row.error) != (row.refused, _as_written(row.refused_reason))
    if row.fate == TAKEN_DOWN:
        return takedowns.of_answer(row.final_url, row.sha256) is None
    return retry_failed and may_pass(row.fate)


def _is_withdrawn(row: Any, takedowns: Takedowns) -> bool:
    reason = takedowns.of_answer(row.final_url, row.sha256)
    return reason is not None and (row.fate, row.error) != (TAKEN_DOWN, _as_written(reason))


def _as_written(reason: str) -> str:
    """Write a reason as status tables hold it."""
    return ScrapeFailure(TAKEN_DOWN, reason).reason
