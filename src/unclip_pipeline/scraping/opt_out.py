"""The former address of what `permission` holds now."""

from unclip_pipeline.scraping.permission.decision import TOKEN
from unclip_pipeline.scraping.permission.robots_tags import refused_by

__all__ = ["TOKEN", "refused_by"]
