"""Fetch every URL once and give every row a fate."""

from unclip_pipeline.pipelines.scrape.pipeline import create_pipeline

__all__ = ["create_pipeline"]
