"""Read crawled pages into a URL list."""

from unclip_pipeline.pipelines.harvest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
