"""Scrape a list: keep what is finished, fetch the rest, account for every row."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.files import SUCCESS, atomic_path
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.contact import check_contact
from unclip_pipeline.scraping.ledger import scrape_ledger
from unclip_pipeline.scraping.plan import Plan, make_plan, read_at_hand
from unclip_pipeline.scraping.records import evidence_of, requests_of
from unclip_pipeline.scraping.running import begin_run, shown_progress
from unclip_pipeline.scraping.shard_files import (
    SCRATCH,
    STATUS_COLUMNS,
    choices_digest,
    finished_tables,
    recover,
    remove_all_but,
    remove_shard,
    shard_name,
)
from unclip_pipeline.scraping.takedowns import Takedowns, read_takedowns
from unclip_pipeline.scraping.url_list import rows_to_scrape

# `engines.map_shards` with its engine: (function, shards) -> results as they come
MapShards = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


class Scraped(NamedTuple):
    """What a scrape gives: a row per uid, what was measured on the way, and what this run itself asked for."""

    ledger: pd.DataFrame
    requests: pd.DataFrame
    evidence: pd.DataFrame
    asked_rows: int
    fetch_s: float


def scrape(
    url_list: pd.DataFrame,
    takedown_list: pd.DataFrame,
    folder: Path,
    records: Path,
    config: ScrapeConfig,
    map_shards: MapShards,
) -> Scraped:
    """Fetch every URL of a list into raw shards and give every row one fate.

    Only rows that no shard of these choices holds are asked for (see `plan`); an interrupted run goes on
    where it stopped. Times and evidence go into the folder `records`.
    Raises ValueError if any row is left without a fate.
    """
    takedowns = read_takedowns(takedown_list)
    rows = rows_to_scrape(url_list, takedowns, config)
    check_contact(rows["url"][rows["refused"].isna()], config)
    folder.mkdir(parents=True, exist_ok=True)
    records.mkdir(parents=True, exist_ok=True)
    plan = _plan(rows, takedowns, folder, config)
    began_s = time.perf_counter()
    asked = _carry_out(plan, takedowns, folder, records, config, map_shards)
    fetch_s = time.perf_counter() - began_s
    tables = dict(finished_tables(folder, choices_digest(config)))
    ledger = scrape_ledger(rows, _statuses(tables.values()), config)
    shards = [shard_name(number) for number in tables]
    _forget_others(records, shards)
    found = Scraped(ledger, requests_of(records, shards), evidence_of(records, shards), asked, fetch_s)
    _seal(folder, ledger, config)
    return found


def _plan(rows: pd.DataFrame, takedowns: Takedowns, folder: Path, config: ScrapeConfig) -> Plan:
    """See what is at hand, decide what is to do, and clear away what is of no use."""
    recover(folder)
    tables = dict(finished_tables(folder, choices_digest(config)))
    plan = make_plan(
        rows, read_at_hand(tables.items()), takedowns,
        shard_size=config.shard_size, retry_failed=config.retry_failed,
    )  # fmt: skip
    remove_all_but(folder, set(tables))
    for number in tables.keys() - plan.finished:  # all its rows left the list
        remove_shard(folder, number)
    return plan


def _carry_out(
    plan: Plan,
    takedowns: Takedowns,
    folder: Path,
    records: Path,
    config: ScrapeConfig,
    map_shards: MapShards,
) -> int:
    """Write the shards of a plan; returns the rows that were asked for."""
    from unclip_pipeline.scraping.downloader import ShardDownloader

    if not plan.places:
        return 0
    run = begin_run(folder / SCRATCH)
    downloader = ShardDownloader(folder, records, run, takedowns, config)
    fates: Counter[str] = Counter()
    with shown_progress(folder / SCRATCH, plan.rows_to_ask):
        for tally in map_shards(downloader, plan.tasks()):
            fates.update(tally.fates)
    return fates.total()


def _statuses(tables: Iterable[Path]) -> pd.DataFrame:
    found = [pq.read_table(table) for table in tables]
    return pa.concat_tables([STATUS_COLUMNS.empty_table(), *found]).to_pandas()


def _forget_others(records: Path, shards: list[str]) -> None:
    """Delete the records of shards that are gone."""
    for path in records.glob("[0-9]*.parquet"):
        if path.name.partition(".")[0] not in shards:
            path.unlink()


def _seal(folder: Path, ledger: pd.DataFrame, config: ScrapeConfig) -> None:
    """Write down what the folder was made from, and mark it complete."""
    where = "".join(f"{uid} {shard}\n" for uid, shard in zip(ledger["uid"], ledger["shard"], strict=True))
    facts = {
        "rows": hashlib.sha256(where.encode()).hexdigest(),
        "shards": int(ledger["shard"].nunique()),
        "choices": config.in_the_bytes(),
    }
    with atomic_path(folder / "_identity.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2, sort_keys=True))
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    (folder / SUCCESS).touch()
