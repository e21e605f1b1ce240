"""Fetch every URL of a list once and give every row one fate."""

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.metrics import scrape_metrics
from unclip_pipeline.scraping.run import Scraped, scrape

__all__ = ["ScrapeConfig", "Scraped", "scrape", "scrape_metrics"]
