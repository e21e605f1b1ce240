"""From crawled pages to a URL list: every image with its caption, language, licence and refusals."""

from unclip_pipeline.scraping.harvest.config import HarvestConfig
from unclip_pipeline.scraping.harvest.run import Harvested, harvest, harvest_metrics

__all__ = ["HarvestConfig", "Harvested", "harvest", "harvest_metrics"]
