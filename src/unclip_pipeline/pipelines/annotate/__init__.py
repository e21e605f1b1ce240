"""Ask people where labels help most, and say what their answers show."""

from unclip_pipeline.pipelines.annotate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
