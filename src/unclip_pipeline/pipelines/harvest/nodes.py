"""Adapters between the catalog, the reader of crawls and the engine that it runs on."""

from functools import partial
from pathlib import Path

import pandas as pd

from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.pipelines.harvest.report import harvest_page
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.harvest import HarvestConfig, harvest, harvest_metrics


def collect_images(
    crawl: Path, scratch: Path, config: HarvestConfig, policy: ScrapeConfig, engine: EngineConfig
) -> tuple[pd.DataFrame, dict[str, int | float], str]:
    """Read a crawl into a URL list and account for every image it shows."""
    harvested = harvest(crawl, scratch, config, policy, partial(map_shards, engine=engine))
    return harvested.url_list, harvest_metrics(harvested), harvest_page(harvested)
