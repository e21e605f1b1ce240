"""Draw held-out captions and measure quality and copying."""

from unclip_pipeline.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
