"""Adapters between the catalog, the scraper and the engine that it runs on."""

from functools import partial
from pathlib import Path

import pandas as pd

from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.scrape.report import scrape_page
from unclip_pipeline.scraping import ScrapeConfig, scrape, scrape_metrics


def fetch(
    url_list: pd.DataFrame,
    takedown_list: pd.DataFrame,
    target: Path,
    records: Path,
    config: ScrapeConfig,
    engine: EngineConfig,
) -> tuple[Path, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, int | float]]:
    """Fetch the list into raw shards and account for every row."""
    scraped = scrape(url_list, takedown_list, target, records, config, partial(map_shards, engine=engine))
    return target, scraped.ledger, scraped.requests, scraped.evidence, scrape_metrics(scraped)


def describe(raw_shards: Path, ledger: pd.DataFrame, requests: pd.DataFrame, evidence: pd.DataFrame) -> str:
    """Show what became of the list."""
    return scrape_page(raw_shards, ledger, requests, evidence)
