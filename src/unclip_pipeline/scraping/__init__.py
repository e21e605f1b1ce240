"""Fetch every URL of a list once and give every row one fate; img2dataset is the frame, the rest is ours."""

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.run import Scraped, scrape, scrape_metrics

__all__ = ["ScrapeConfig", "Scraped", "scrape", "scrape_metrics"]
