"""Scrape a list: keep what is finished, fetch the rest, account for every row."""

import contextlib
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.corpus.files import SUCCESS, atomic_path
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.progress import progress_bar
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.ledger import scrape_ledger
from unclip_pipeline.scraping.shard_files import (
    STATUS_COLUMNS,
    ShardFiles,
    is_finished,
    remove_all_but,
    shard_identity,
)
from unclip_pipeline.scraping.url_list import read_takedowns, rows_to_scrape

# `engines.map_shards` with its engine: (function, shards) -> results as they come
MapShards = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
SCRATCH = "_tmp"


class Scraped(NamedTuple):
    """What a scrape gives: a row per uid, and what this run itself fetched, in how long."""

    ledger: pd.DataFrame
    fetched_rows: int
    fetch_s: float


def scrape(
    url_list: pd.DataFrame,
    takedown_list: pd.DataFrame,
    folder: Path,
    config: ScrapeConfig,
    map_shards: MapShards,
) -> Scraped:
    """Fetch every URL of a list into raw shards and give every row one fate.

    Shards that are finished, of the same rows and choices, are kept; an interrupted run goes on there.
    Raises ValueError if any row is left without a fate.
    """
    takedowns = read_takedowns(takedown_list)
    rows = rows_to_scrape(url_list, takedowns, config)
    identities = _identities(rows, config)
    folder.mkdir(parents=True, exist_ok=True)
    finished = {
        number
        for number, identity in identities.items()
        if is_finished(folder, number, identity, takedowns.sha256)
    }
    remove_all_but(folder, finished)
    began_s = time.perf_counter()
    fetched = 0
    if len(finished) < len(identities):
        fetched = _fetch(rows, identities, finished, takedowns.sha256, folder, config, map_shards)
    fetch_s = time.perf_counter() - began_s
    ledger = scrape_ledger(rows, _statuses(folder, identities))
    _seal(folder, identities, config)
    return Scraped(ledger, fetched, fetch_s)


def _identities(rows: pd.DataFrame, config: ScrapeConfig) -> dict[int, str]:
    size = config.shard_size
    cuts = range(0, len(rows), size)
    return {number: shard_identity(rows.iloc[cut : cut + size], config) for number, cut in enumerate(cuts)}


def _fetch(
    rows: pd.DataFrame,
    identities: dict[int, str],
    finished: set[int],
    taken_down: dict[str, str],
    folder: Path,
    config: ScrapeConfig,
    map_shards: MapShards,
) -> int:
    """Fetch the shards that are not finished; returns the rows asked for."""
    from unclip_pipeline.scraping.downloader import OWN_COLUMNS, AccountedDownloader, shards_to_fetch

    scratch = folder / SCRATCH
    scratch.mkdir()
    rows[[*OWN_COLUMNS, "caption", "url"]].to_parquet(scratch / "urls.parquet", index=False)
    with contextlib.redirect_stdout(io.StringIO()):  # the reader talks
        shards = list(shards_to_fetch(scratch / "urls.parquet", scratch, finished, config))
    downloader = AccountedDownloader(folder, identities, taken_down, config)
    asked = kept = 0
    rows_finished = sum(len(rows.iloc[config.shard_size * n :][: config.shard_size]) for n in finished)
    with progress_bar(None, label="scrape", total=len(rows) - rows_finished, unit="url") as bar:
        for tally in map_shards(downloader.download_shard, shards):
            asked, kept = asked + tally.rows, kept + tally.kept
            bar.set_postfix(kept=f"{kept / asked:.1%}", refresh=False)
            bar.update(tally.rows)
    return asked


def _statuses(folder: Path, identities: dict[int, str]) -> pd.DataFrame:
    files = [ShardFiles.of(folder, number).table for number in identities]
    tables = [pq.read_table(file) for file in files if file.is_file()]
    return pa.concat_tables([STATUS_COLUMNS.empty_table(), *tables]).to_pandas()


def _seal(folder: Path, identities: dict[int, str], config: ScrapeConfig) -> None:
    """Write down what the folder was made from, and mark it complete."""
    whole = hashlib.sha256("".join(identities.values()).encode()).hexdigest()
    facts = {"identity": whole, "shards": len(identities), "choices": config.in_the_bytes()}
    with atomic_path(folder / "_identity.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2, sort_keys=True))
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    (folder / SUCCESS).touch()


def scrape_metrics(scraped: Scraped) -> dict[str, int | float]:
    """Count a scrape: rows by fate, and the speed where anything was fetched."""
    fates = scraped.ledger["fate"].value_counts()
    metrics: dict[str, int | float] = {
        "urls": len(scraped.ledger),
        "kept": int(fates.get(KEPT, 0)),
        **share_metrics("success_share", int(fates.get(KEPT, 0)), len(scraped.ledger)),
    }
    if scraped.fetched_rows:
        metrics["images_per_second"] = scraped.fetched_rows / scraped.fetch_s
    metrics |= {"rows": int(scraped.ledger["listed"].sum()), "fetched_rows": scraped.fetched_rows}
    return metrics | {f"fate/{fate}": int(count) for fate, count in sorted(fates.items())}
