"""One page with everything."""

from unclip_pipeline.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
