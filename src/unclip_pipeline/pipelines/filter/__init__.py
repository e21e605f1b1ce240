"""Score every pair against every rule."""

from unclip_pipeline.pipelines.filter.pipeline import create_pipeline

__all__ = ["create_pipeline"]
